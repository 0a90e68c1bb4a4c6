package server

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	outboxFrames = 256              // about two seconds of everything
	writeTimeout = 10 * time.Second // a browser that takes nothing for so long is gone
	pingInterval = 15 * time.Second
	pongTimeout  = 40 * time.Second
	askBurst     = 32 // requests a browser may make at once, and per two seconds
)

// client is one connected browser: an outbox, a goroutine that writes it out, and
// one that reads requests.
type client struct {
	s    *Server
	conn *websocket.Conn
	out  *outbox
	mask atomic.Uint32 // kinds of binary frames wanted, one bit each
}

func (c *client) wants(kind byte) bool {
	return kind == kindText || c.mask.Load()&(1<<kind) != 0
}

// socket answers /ws.
func (s *Server) socket(w http.ResponseWriter, r *http.Request) {
	s.clients.Add(1)
	defer s.clients.Done()
	if n, _ := s.hub.counts(); n >= s.opts.MaxClients {
		http.Error(w, errFull.Error(), http.StatusServiceUnavailable)
		return
	}
	conn, err := s.upgrade.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	c := &client{s: s, conn: conn, out: newOutbox(outboxFrames)}
	c.mask.Store(1<<kindSignals | 1<<kindDecisions | 1<<kindPower)
	if err := s.hub.join(c); err != nil {
		c.goodbye(websocket.CloseTryAgainLater, err.Error())
		conn.Close()
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.read()
	}()
	c.write(gone)
	conn.Close() // ends read
	<-gone
	s.hub.leave(c)
}

// write sends what the outbox holds until the browser or the server goes away.
func (c *client) write(gone <-chan struct{}) {
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	for {
		select {
		case <-c.out.wake:
			for f := c.out.take(); f != nil; f = c.out.take() {
				_ = c.conn.SetWriteDeadline(time.Now().Add(c.s.opts.stuck))
				err := f.write(c.conn)
				f.release()
				if err != nil {
					return
				}
			}
		case <-ping.C:
			if c.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(c.s.opts.stuck)) != nil {
				return
			}
		case <-gone:
			return
		case <-c.s.ending:
			c.goodbye(websocket.CloseGoingAway, "the server ends")
			return
		}
	}
}

func (c *client) goodbye(code int, why string) {
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, why), time.Now().Add(time.Second))
}

// read follows the browser's requests until it goes away or says something it must not.
func (c *client) read() {
	c.conn.SetReadLimit(maxRequest)
	alive := func(string) error { return c.conn.SetReadDeadline(time.Now().Add(pongTimeout)) }
	_ = alive("")
	c.conn.SetPongHandler(alive)
	budget := float64(askBurst)
	last := time.Now()
	for {
		kind, text, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		_ = alive("")
		now := time.Now()
		budget = min(askBurst, budget+now.Sub(last).Seconds()*askBurst/2) - 1
		last = now
		r, err := parseRequest(text)
		switch {
		case kind != websocket.TextMessage || err != nil:
			c.goodbye(websocket.ClosePolicyViolation, errRequest.Error())
			return
		case budget < 0:
			c.goodbye(websocket.ClosePolicyViolation, "too many requests")
			return
		case r.Type == "subscribe":
			var mask uint32
			for kind, want := range map[int]bool{kindSignals: r.Signals, kindDecisions: r.Decisions, kindPower: r.Power} {
				if want {
					mask |= 1 << kind
				}
			}
			c.mask.Store(mask)
		case r.Type == "ping":
			f := textFrame(struct {
				Type string `json:"type"` // "pong"
				ID   int64  `json:"id"`
			}{"pong", r.ID})
			c.out.replace(latestPong, f)
			f.release()
		}
	}
}
