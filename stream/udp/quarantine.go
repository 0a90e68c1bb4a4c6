package udp

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"time"

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

// String says when a datagram came, from where, and why it could not be used.
func (q *Quarantined) String() string {
	return fmt.Sprintf("%s from %s, %d bytes: %s", time.Unix(0, int64(q.Stamp)).UTC().Format("2006-01-02 15:04:05.000000"), q.From, q.Size, q.Why)
}

// WriteQuarantine writes datagrams for a person: a line each (time in UTC), and their
// bytes, sixteen a line, in hexadecimal and as text.
func WriteQuarantine(w io.Writer, list []Quarantined) error {
	for i := range list {
		q := &list[i]
		if _, err := fmt.Fprintln(w, q); err != nil {
			return err
		}
		dump := hex.Dumper(w)
		if _, err := dump.Write(q.Data); err != nil {
			return err
		}
		if err := dump.Close(); err != nil {
			return err
		}
		if n := q.Size - len(q.Data); n > 0 {
			fmt.Fprintf(w, "%d more bytes were not kept\n", n)
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	return nil
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
