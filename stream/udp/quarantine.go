package udp

import (
	"encoding/hex"
	"net/netip"
	"strconv"

	"neurostream/stream"
)

// Quarantined is a datagram that could not be used, kept to be looked at.
type Quarantined struct {
	Stamp stream.Time
	From  netip.AddrPort
	Why   string
	Data  []byte // its first bytes
	Size  int    // of the whole, bytes
}

// quarantine keeps malformed datagrams: the first fifteen, and in the sixteenth place
// every one whose number is a power of two, so that a flood costs nothing.
type quarantine struct {
	ring [16]Quarantined
	n    int64
}

const quarantineBytes = 2048

func (q *quarantine) put(d *Datagram, why error) {
	i := q.n
	q.n++
	if last := int64(len(q.ring)) - 1; i >= last {
		if i > last && q.n&(q.n-1) != 0 {
			return
		}
		i = last
	}
	e := &q.ring[i]
	e.Stamp, e.From, e.Why, e.Size = d.Stamp, d.From, why.Error(), len(d.Data)
	e.Data = append(e.Data[:0], d.Data[:min(len(d.Data), quarantineBytes)]...)
}

// list returns what is kept, in order of arrival.
func (q *quarantine) list() []Quarantined {
	var out []Quarantined
	for i := range q.ring[:min(q.n, int64(len(q.ring)))] {
		e := q.ring[i]
		e.Data = append([]byte(nil), e.Data...)
		out = append(out, e)
	}
	return out
}

// glimpse shows the beginning of a datagram in one line.
func glimpse(b []byte) string {
	const show = 24
	text := len(b) > 0
	for _, c := range b[:min(len(b), show)] {
		if c < 32 && c != '\r' && c != '\n' && c != '\t' || c > 126 {
			text = false
		}
	}
	s := hex.EncodeToString(b[:min(len(b), show)])
	if text {
		s = strconv.Quote(string(b[:min(len(b), show)]))
	}
	if len(b) > show {
		s += "…"
	}
	return s
}
