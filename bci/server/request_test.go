package server

import (
	"strings"
	"testing"

	"github.com/gorilla/websocket"
)

var requests = map[string]bool{
	`{"type":"ping","id":7}`:       true,
	`{"type":"subscribe"}`:         true,
	`  {"type":"ping","id":-1}\n `: false, // not JSON white space
	`{"type":"subscribe","signals":true,"decisions":true,"power":false}`: true,
	``:                          false,
	`{}`:                        false,
	`[]`:                        false,
	`null`:                      false,
	`{"type":"ping","id":1e99}`: false,
	`{"type":"ping","id":"7"}`:  false,
	`{"type":"quit"}`:           false,
	`{"type":"ping"}{}`:         false,
	`{"type":"ping","extra":1}`: false,
	`{"type":"ping","id":7`:     false,
	strings.Repeat("[", 400):    false,
	strings.Repeat(" ", 600):    false,
	`{"type":"subscribe","x":"` + strings.Repeat("y", 600) + `"}`: false,
}

func TestRequests(t *testing.T) {
	for text, want := range requests {
		if _, err := parseRequest([]byte(text)); (err == nil) != want {
			t.Errorf("%.60q: accepted %v, should be %v", text, err == nil, want)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for text := range requests {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := parseRequest(text)
		if err == nil && (len(text) > maxRequest || (r.Type != "ping" && r.Type != "subscribe")) {
			t.Errorf("%q was taken as %+v", text, r)
		}
		if err != nil && r != (request{}) {
			t.Errorf("%q was refused and left %+v", text, r)
		}
	})
}

// TestConversation sees pings answered, subscriptions followed, and anything else
// ended with a reason.
func TestConversation(t *testing.T) {
	s := serving(t, Options{Addr: "127.0.0.1:0"})
	y := newSynthetic(t, s, 160, 16)
	c := dial(t, s)
	say := func(text string) {
		t.Helper()
		if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	say(`{"type":"subscribe","decisions":true}`)
	say(`{"type":"ping","id":99}`)
	pong := wait(t, c, func(m heard) bool { return m.kind == "pong" })
	if string(pong.text) != `{"type":"pong","id":99}` {
		t.Errorf("pong %s", pong.text)
	}
	for range 40 {
		y.step(t)
	}
	if err := y.decisions.Close(); err != nil { // sends what is left
		t.Fatal(err)
	}
	m := wait(t, c, func(m heard) bool { return m.kind == "frame" })
	if m.Kind != kindDecisions {
		t.Errorf("got a frame of kind %d after subscribing to decisions only", m.Kind)
	}
	for what, bad := range map[string]func(*websocket.Conn) error{
		"nonsense": func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, []byte("nonsense")) },
		"binary": func(c *websocket.Conn) error {
			return c.WriteMessage(websocket.BinaryMessage, []byte(`{"type":"ping"}`))
		},
		"too much": func(c *websocket.Conn) error { return c.WriteMessage(websocket.TextMessage, make([]byte, 1<<16)) },
		"too often": func(c *websocket.Conn) error {
			for range 4 * askBurst {
				if c.WriteMessage(websocket.TextMessage, []byte(`{"type":"ping"}`)) != nil {
					return nil // already closed on us
				}
			}
			return nil
		},
	} {
		c := dial(t, s)
		err := bad(c)
		for err == nil {
			_, _, err = c.ReadMessage()
		}
		if !websocket.IsCloseError(err, websocket.ClosePolicyViolation, websocket.CloseMessageTooBig) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s ends with %v", what, err)
		}
	}
}
