package server

import (
	"encoding/json"
	"sync"
	"sync/atomic"

	"github.com/gorilla/websocket"
)

// frame is one encoded message that any number of outboxes may hold. Its memory is
// used again when the last of them lets go, because the engine runs with a sleeping
// garbage collector and frames come sixty times a second.
type frame struct {
	kind     byte
	buf      []byte
	refs     atomic.Int32
	prepared *websocket.PreparedMessage // set when there are many clients
}

var spares = sync.Pool{New: func() any { return new(frame) }}

// newFrame returns a frame of n bytes held once.
func newFrame(kind byte, n int) *frame {
	f := spares.Get().(*frame)
	if cap(f.buf) < n {
		f.buf = make([]byte, n, n+n/4)
	}
	f.kind, f.buf, f.prepared = kind, f.buf[:n], nil
	f.refs.Store(1)
	return f
}

// textFrame encodes v, which always can be.
func textFrame(v any) *frame {
	text, err := json.Marshal(v)
	if err != nil {
		panic("server: " + err.Error())
	}
	f := newFrame(kindText, len(text))
	copy(f.buf, text)
	return f
}

func (f *frame) hold() *frame { f.refs.Add(1); return f }

func (f *frame) release() {
	if f.refs.Add(-1) == 0 {
		f.prepared = nil
		spares.Put(f)
	}
}

func (f *frame) messageType() int {
	if f.kind == kindText {
		return websocket.TextMessage
	}
	return websocket.BinaryMessage
}

// manyClients is where a prepared message starts to pay: framing once costs three
// to four plain writes.
const manyClients = 10

func (f *frame) prepare() {
	if m, err := websocket.NewPreparedMessage(f.messageType(), f.buf); err == nil {
		f.prepared = m
	}
}

// write sends the frame; only a client's writer calls it.
func (f *frame) write(c *websocket.Conn) error {
	if f.prepared != nil {
		return c.WritePreparedMessage(f.prepared)
	}
	return c.WriteMessage(f.messageType(), f.buf)
}
