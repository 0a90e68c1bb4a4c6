package server

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"neurostream/bci"
	"neurostream/bci/web"
)

// DefaultAddr is where a server listens when Options.Addr is empty.
const DefaultAddr = "127.0.0.1:8080"

// Options configure a server. The zero value serves the page on DefaultAddr.
type Options struct {
	// Addr is host:port to listen on; port 0 takes any free one. Default: DefaultAddr.
	Addr string
	// Hosts are names, besides localhost and IP addresses, under which browsers may
	// reach the server. Any other name is refused: a page elsewhere could point its
	// own name at this machine (DNS rebinding).
	Hosts []string
	// Truth maps marker labels to the names of the classes they start, e.g. "T1" to
	// "left". It is shown beside the decisions and scores commands; empty shows none.
	Truth map[string]string
	// Idle is the class that means: do nothing. A command during it is a false activation.
	Idle string
	// MaxClients bounds the connected pages. Default: 64.
	MaxClients int
	// Page replaces the embedded page.
	Page fs.FS

	now   func() time.Time // tests
	stuck time.Duration    // tests; a browser that takes nothing for so long is gone
}

// Server is one page's worth of a running engine. Make it with New.
type Server struct {
	opts    Options
	hub     *hub
	routes  http.Handler
	upgrade websocket.Upgrader

	statusMu sync.Mutex // one call of status at a time
	status   func() bci.Status
	tally    Tally
	recent   recentEvents

	clients sync.WaitGroup
	ending  chan struct{} // closed when Serve ends: clients say goodbye
	endOnce sync.Once

	listenMu sync.Mutex
	listener net.Listener
}

// New returns a server that does not listen yet. Its sinks may be attached to an
// engine and its Handler used at once.
func New(o Options) *Server {
	if o.Addr == "" {
		o.Addr = DefaultAddr
	}
	if o.MaxClients <= 0 {
		o.MaxClients = 64
	}
	if o.Page == nil {
		o.Page, _ = web.Files()
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.stuck == 0 {
		o.stuck = writeTimeout
	}
	s := &Server{opts: o, ending: make(chan struct{})}
	s.hub = newHub(o.MaxClients)
	s.upgrade = websocket.Upgrader{
		HandshakeTimeout: 5 * time.Second,
		ReadBufferSize:   1 << 10,
		WriteBufferSize:  1 << 15,
		Subprotocols:     []string{subprotocol},
		CheckOrigin:      sameOrigin,
	}
	s.routes = s.routing()
	return s
}

// SetStatus gives the server the engine's status; f is called about four times a
// second while somebody serves, never twice at a time.
func (s *Server) SetStatus(f func() bci.Status) {
	s.statusMu.Lock()
	s.status = f
	s.statusMu.Unlock()
}

// Handler returns everything the server answers, with its checks.
func (s *Server) Handler() http.Handler { return s.routes }

// Listen takes the address. It fails with a *ListenError.
func (s *Server) Listen() error {
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	if s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.opts.Addr)
	if err != nil {
		return listenError(s.opts.Addr, err)
	}
	s.listener = l
	return nil
}

// URL returns the page's address, as a person on this machine would open it;
// empty before Listen.
func (s *Server) URL() string {
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	if s.listener == nil {
		return ""
	}
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port) + "/"
}

// Serve listens, unless Listen has been called, and serves until ctx ends; then it
// says goodbye to the browsers, waits for them, and returns nil. It is called once.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	srv := &http.Server{
		Handler:           s.routes,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
	}
	polling, stop := context.WithCancel(ctx)
	var poller sync.WaitGroup
	poller.Go(func() { s.poll(polling) })
	down := context.AfterFunc(ctx, func() {
		grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		s.end()
		if srv.Shutdown(grace) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(s.listener)
	down()
	stop()
	s.end()
	s.clients.Wait()
	poller.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (s *Server) end() { s.endOnce.Do(func() { close(s.ending) }) }

// routing ties paths to answers.
func (s *Server) routing() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(s.opts.Page))
	mux.HandleFunc("GET /ws", s.socket)
	mux.HandleFunc("GET /api/status", s.serveStatus)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("ok\n"))
	})
	return guard(s.opts.Hosts, mux)
}
