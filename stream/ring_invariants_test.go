//go:build invariants

package stream

import (
	"io"
	"testing"
	"testing/synctest"
)

// TestRingSeesWhatHappensMeanwhile lets the other side act between a look and what
// follows from it: the moments in which a wake-up, or a last chunk, could get lost. A
// lost one stops the bubble, which is reported as a deadlock.
func TestRingSeesWhatHappensMeanwhile(t *testing.T) {
	full := func() *Ring {
		r := NewRing(header(1, 1), 1)
		r.Commit(1)
		return r
	}
	empty := func() *Ring { return NewRing(header(1, 1), 1) }
	wait := func(r *Ring) (int, error) { return r.Wait(t.Context()) }
	reserve := func(r *Ring) (int, error) {
		c, err := r.ReserveWait(t.Context())
		if c == nil {
			return 0, err
		}
		return 1, err
	}
	for _, c := range []struct {
		name, place string
		ring        func() *Ring
		act         func(r *Ring)
		wait        func(r *Ring) (int, error)
		n           int
		err         error
	}{
		{"a commit while the reader parks", "reader parks", empty, func(r *Ring) { r.Commit(1) }, wait, 1, nil},
		{"a close while the reader parks", "reader parks", empty, func(r *Ring) { r.Close(nil) }, wait, 0, io.EOF},
		{"the last chunk and a close behind the reader's look", "reader looked", empty, func(r *Ring) { r.Commit(1); r.Close(nil) }, wait, 1, nil},
		{"a release while the writer parks", "writer parks", full, func(r *Ring) { r.Release(1) }, reserve, 1, nil},
		{"a stop while the writer parks", "writer parks", full, func(r *Ring) { r.Stop() }, reserve, 0, ErrStopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := c.ring()
				acted := false
				interleave = func(place string) {
					if place == c.place && !acted {
						acted = true
						c.act(r)
					}
				}
				defer func() { interleave = nil }()
				n, err := c.wait(r)
				if n != c.n || err != c.err || !acted {
					t.Errorf("%d, %v, want %d, %v; the other side acted: %v", n, err, c.n, c.err, acted)
				}
			})
		})
	}
}
