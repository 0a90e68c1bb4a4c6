package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gorilla/websocket"

	"neurostream/bci"
)

// serving starts a server and stops it with the test.
func serving(t *testing.T, o Options) *Server {
	t.Helper()
	s := New(o)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return s
}

// dial connects as a page would.
func dial(t *testing.T, s *Server) *websocket.Conn {
	t.Helper()
	url := "ws" + strings.TrimPrefix(s.URL(), "http") + "ws"
	c, _, err := websocket.DefaultDialer.Dial(url, http.Header{"Origin": {strings.TrimSuffix(s.URL(), "/")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// heard is one message of the server.
type heard struct {
	kind string // type of a text message, or "frame"
	text []byte
	decoded
}

// next reads one message.
func next(t *testing.T, c *websocket.Conn) heard {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	kind, data, err := c.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	if kind == websocket.BinaryMessage {
		return heard{kind: "frame", decoded: decode(t, data)}
	}
	var m struct{ Type string }
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return heard{kind: m.Type, text: data}
}

// wait reads until a message satisfies ok.
func wait(t *testing.T, c *websocket.Conn, ok func(heard) bool) heard {
	t.Helper()
	for range 100000 {
		if m := next(t, c); ok(m) {
			return m
		}
	}
	t.Fatal("the message never came")
	return heard{}
}

func TestHostsAndOrigins(t *testing.T) {
	h := New(Options{Hosts: []string{"Lab.Example."}}).Handler()
	for host, want := range map[string]int{
		"localhost:8080": 200, "127.0.0.1": 200, "[::1]:8080": 200, "192.168.1.7:99": 200, "lab.example:1": 200, "LOCALHOST.": 200,
		"evil.example": 421, "evil.example:8080": 421, "localhost.evil.example": 421, "": 421, "localhost:80;x": 421, "127.0.0.1.evil.example": 421,
	} {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %q: status %d, not %d", host, w.Code, want)
		}
	}

	s := serving(t, Options{Addr: "127.0.0.1:0"})
	address := strings.TrimSuffix(strings.TrimPrefix(s.URL(), "http://"), "/")
	for origin, want := range map[string]bool{
		"": true, "http://" + address: true, "https://" + address: true,
		"http://evil.example": false, "null": false, "http://127.0.0.1:1": false, "file://" + address: false, "http://" + address + ".evil.example": false, "%": false,
	} {
		header := http.Header{}
		if origin != "" {
			header.Set("Origin", origin)
		}
		c, r, err := websocket.DefaultDialer.Dial("ws://"+address+"/ws", header)
		if (err == nil) != want {
			t.Errorf("Origin %q: accepted %v, should be %v", origin, err == nil, want)
		}
		if err == nil {
			c.Close()
		} else if r == nil || r.StatusCode != http.StatusForbidden {
			t.Errorf("Origin %q: refused with %v, not 403", origin, r)
		}
	}
}

func TestAnswers(t *testing.T) {
	page := fstest.MapFS{"index.html": {Data: []byte("<title>page</title>")}, "assets/page.js": {Data: []byte("1")}}
	s := New(Options{Page: page})
	s.SetStatus(func() bci.Status {
		return bci.Status{State: "running", Chunks: 12, Realtime: nan(), Stages: []bci.Stage{{Name: "band\"pass", Work: bci.Spread{N: 3, P50: 2, Max: nan()}}}, Rings: []bci.Ring{{Name: "a", Dropped: 5}}}
	})
	get := func(method, path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w
	}
	for path, want := range map[string]string{
		"/": "<title>page</title>", "/assets/page.js": "1", "/healthz": "ok",
		"/api/status": `"chunks": 12`, "/metrics": "bci_chunks_total 12\n",
	} {
		w := get("GET", path)
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, %q does not hold %q", path, w.Code, w.Body, want)
		}
		csp := w.Header().Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "ws://localhost ") || strings.Contains(csp, "unsafe") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", path, w.Header())
		}
	}
	var r report
	if err := json.Unmarshal(get("GET", "/api/status").Body.Bytes(), &r); err != nil || r.Status.Realtime != 0 || r.Status.Stages[0].Work.P50 != 2 {
		t.Errorf("status %+v, %v: what JSON cannot carry becomes 0, the rest stays", r.Status, err)
	}
	for _, line := range []string{`bci_stage_work_seconds{stage="band\"pass",position="1",quantile="0.5"} 2e-06`, `bci_stage_work_seconds_count{stage="band\"pass",position="1"} 3`, `bci_dropped_columns_total{ring="a"} 5`} {
		if !strings.Contains(get("GET", "/metrics").Body.String(), line+"\n") {
			t.Errorf("/metrics lacks %s:\n%s", line, get("GET", "/metrics").Body)
		}
	}
	for path, want := range map[string]int{"/nothing": 404, "/../go.mod": 404} {
		if w := get("GET", path); w.Code != want && w.Code != http.StatusTemporaryRedirect && w.Code != http.StatusMovedPermanently {
			t.Errorf("GET %s: status %d, not %d", path, w.Code, want)
		}
	}
	for _, path := range []string{"/", "/api/status", "/ws"} {
		if w := get("POST", path); w.Code != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: status %d", path, w.Code)
		}
	}
}

func nan() float64 { var zero float64; return zero / zero }

func TestEmbeddedPage(t *testing.T) {
	for _, path := range []string{"/", "/index.html"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		New(Options{}).Handler().ServeHTTP(w, r)
		if path == "/" && (w.Code != 200 || !strings.Contains(w.Body.String(), "<title>neurostream</title>")) {
			t.Errorf("%s: status %d, %.80q", path, w.Code, w.Body)
		}
		if body := w.Body.String(); strings.Contains(body, "<script>") || strings.Contains(body, "style=") {
			t.Errorf("%s holds inline script or style, which its own policy forbids", path)
		}
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	err = New(Options{Addr: addr}).Listen()
	var e *ListenError
	if !errors.As(err, &e) || !e.InUse || e.Addr != addr {
		t.Fatalf("%#v is not a ListenError in use", err)
	}
	want := "address " + addr + " is already in use, perhaps by another bci; choose another port, e.g. " + nextPort(addr) + ", or port 0 for any free one"
	if err.Error() != want {
		t.Errorf("message\n%s\nnot\n%s", err, want)
	}
	if nextPort("127.0.0.1:8080") != "127.0.0.1:8081" || nextPort("[::1]:65535") != "127.0.0.1:8081" {
		t.Errorf("next ports %s, %s", nextPort("127.0.0.1:8080"), nextPort("[::1]:65535"))
	}
	for addr, want := range map[string]string{
		"127.0.0.1":       "address 127.0.0.1: missing port in address; an address is host:port, e.g. 127.0.0.1:8080",
		"192.0.2.1:8080":  "address 192.0.2.1:8080 does not belong to this machine; use 127.0.0.1:8080, or 0.0.0.0 for every interface",
		"127.0.0.1:99999": "address 127.0.0.1:99999: invalid port; an address is host:port, e.g. 127.0.0.1:8080",
	} {
		if err := New(Options{Addr: addr}).Listen(); err == nil || err.Error() != want {
			t.Errorf("%s: message\n%v\nnot\n%s", addr, err, want)
		}
	}
}

func TestTooManyPages(t *testing.T) {
	s := serving(t, Options{Addr: "127.0.0.1:0", MaxClients: 2})
	for range 2 {
		next(t, dial(t, s)) // the hello: it is in
	}
	_, r, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(s.URL(), "http")+"ws", nil)
	if err == nil || r == nil || r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a third page got %v, %v", r, err)
	}
}

// TestEnd sees that nothing is left running, whatever state the pages are in.
func TestEnd(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("serve", func(t *testing.T) {
		s := serving(t, Options{Addr: "127.0.0.1:0"})
		s.SetStatus(func() bci.Status { return bci.Status{} })
		y := newSynthetic(t, s, 160, 16)
		reading, silent, gone := dial(t, s), dial(t, s), dial(t, s)
		_ = silent
		next(t, gone)
		gone.Close()
		for range 50 {
			y.step(t)
		}
		wait(t, reading, func(m heard) bool { return m.kind == "frame" })
		resp, err := http.Get(s.URL() + "healthz")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	})
	http.DefaultClient.CloseIdleConnections()
	for end := time.Now().Add(time.Minute); runtime.NumGoroutine() > before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<16)
			t.Fatalf("%d goroutines before, %d after:\n%s", before, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func TestGoodbye(t *testing.T) {
	s := New(Options{Addr: "127.0.0.1:0"})
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	c := dial(t, s)
	next(t, c)
	stop()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for {
		_, _, err := c.ReadMessage()
		if websocket.IsCloseError(err, websocket.CloseGoingAway) {
			return
		}
		if err != nil {
			t.Fatalf("the server left without a goodbye: %v", err)
		}
	}
}
