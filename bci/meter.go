package bci

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"
	"sync/atomic"

	"github.com/HdrHistogram/hdrhistogram-go"

	"neurostream/stream"
)

// meter measures on one goroutine and is read from others without a lock and
// without allocating on the measuring side. The measuring goroutine owns the
// active set of histograms; a reader raises want, and the owner, at its next
// chunk, hands the active set over and goes on with the spare one.
//
//	owner: record → active ──poll()──► handed ──► reader: merge into total
//	                 ▲                                     │
//	                 └────────────── spare ◄───────────────┘
type meter struct {
	want   atomic.Bool
	handed atomic.Pointer[histograms]
	spare  atomic.Pointer[histograms]
	active *histograms
	total  *histograms // reader's
}

// histograms is one value in nanoseconds each; digest is the state of the digest
// when the set was handed over.
type histograms struct {
	h      []*hdrhistogram.Histogram
	digest [sha256.Size]byte
}

const (
	shortest = 1         // ns
	longest  = 600 * 1e9 // ns; longer is counted as this
)

func newHistograms(n int) *histograms {
	s := &histograms{h: make([]*hdrhistogram.Histogram, n)}
	for i := range s.h {
		s.h[i] = hdrhistogram.New(shortest, longest, 3)
	}
	return s
}

func newMeter(n int) *meter {
	m := &meter{active: newHistograms(n), total: newHistograms(n)}
	m.spare.Store(newHistograms(n))
	return m
}

// record adds one duration; owner only.
func (m *meter) record(i int, ns stream.Time) {
	_ = m.active.h[i].RecordValue(min(max(int64(ns), shortest), longest))
}

// poll hands the active set over if somebody asked; owner only, once a chunk.
func (m *meter) poll(d *digest) {
	if !m.want.Load() {
		return
	}
	s := m.spare.Swap(nil)
	if s == nil {
		return // the reader still holds it
	}
	if d != nil {
		d.sum(&m.active.digest)
	}
	full := m.active
	m.active = s
	m.want.Store(false)
	m.handed.Store(full)
}

// collect merges what was handed over and asks for more; one reader at a time.
// It returns the newest digest, if one came.
func (m *meter) collect() (d [sha256.Size]byte, ok bool) {
	if s := m.handed.Swap(nil); s != nil {
		d, ok = s.digest, true
		m.merge(s)
		m.spare.Store(s)
	}
	m.want.Store(true)
	return d, ok
}

// finish merges everything; only after the owner has ended, and with no reader at work.
func (m *meter) finish() {
	if s := m.handed.Swap(nil); s != nil {
		m.merge(s)
	}
	m.merge(m.active)
}

func (m *meter) merge(s *histograms) {
	for i := range s.h {
		m.total.h[i].Merge(s.h[i])
		s.h[i].Reset()
	}
}

// spread returns the distribution so far, in microseconds.
func (m *meter) spread(i int) Spread {
	h := m.total.h[i]
	us := func(ns int64) float64 { return float64(ns) / 1e3 }
	return Spread{
		N: h.TotalCount(), P50: us(h.ValueAtQuantile(50)), P99: us(h.ValueAtQuantile(99)),
		P999: us(h.ValueAtQuantile(99.9)), Max: us(h.Max()),
	}
}

// digest is the SHA-256 of what leaves a chain: for every column its Seq and the
// bits of its values, little endian. How columns were cut into chunks does not
// matter; times do not enter.
type digest struct {
	hash hash.Hash
	buf  []byte
	col  []float64
}

func newDigest(rows int) *digest {
	return &digest{hash: sha256.New(), buf: make([]byte, 8*(rows+1)), col: make([]float64, rows)}
}

func (d *digest) add(c *stream.Chunk) {
	for i := range c.Len {
		binary.LittleEndian.PutUint64(d.buf, uint64(c.Seq+int64(i)))
		for r, v := range c.Column(d.col, i) {
			binary.LittleEndian.PutUint64(d.buf[8*(r+1):], math.Float64bits(v))
		}
		d.hash.Write(d.buf)
	}
}

func (d *digest) sum(dst *[sha256.Size]byte) { d.hash.Sum(dst[:0]) }
