package udp

import (
	"math/bits"
	"net/netip"

	"neurostream/stream"
)

// fragments puts the pieces of datagrams together that were longer than a network's
// packets: 58 080 bytes of a Blackrock system come in 40 pieces. Memory is bounded:
// sixteen datagrams at a time, 64 KiB each, allocated when first needed; the oldest
// gives way.
type fragments struct {
	slots [16]reassembly
	clock int64 // of use, for the oldest
	lost  int64 // datagrams given up because pieces were missing
}

type fragmentKey struct {
	src, dst netip.Addr
	id       uint32
}

// reassembly is one datagram. Offsets of pieces are multiples of eight bytes.
type reassembly struct {
	key     fragmentKey
	busy    bool
	used    int64
	begun   stream.Time
	data    []byte       // slotSize
	have    [1024]uint64 // one bit for every eight bytes
	units   int          // bits set
	total   int          // bytes; 0 until the last piece has come
	highest int          // end of the furthest piece
}

// fragmentAge is how long pieces are waited for (RFC 8200 §4.5: 60 s; one minute of a
// stream is long past, and identifiers of IPv4 come round).
const fragmentAge = stream.Time(5e9)

// add takes a piece; when it was the last one missing, the whole is returned, valid
// until the next call.
func (f *fragments) add(k fragmentKey, piece []byte, offset int, more bool, at stream.Time) ([]byte, found) {
	if len(piece) == 0 || more && len(piece)%8 != 0 || offset+len(piece) > slotSize-1 {
		return nil, foundMalformed
	}
	r := f.slot(k, at)
	end := offset + len(piece)
	if !more {
		if r.total != 0 && r.total != end {
			return f.drop(r)
		}
		r.total = end
	}
	r.highest = max(r.highest, end)
	if r.total != 0 && r.highest > r.total {
		return f.drop(r)
	}
	first, last := offset/8, (end+7)/8
	have := r.count(first, last)
	switch {
	case have == last-first: // came twice
		return nil, foundFragment
	case have > 0: // pieces that overlap are an attack (RFC 5722)
		return f.drop(r)
	}
	r.mark(first, last)
	copy(r.data[offset:], piece)
	if r.total == 0 || r.units < (r.total+7)/8 {
		return nil, foundFragment
	}
	r.busy = false
	return r.data[:r.total:r.total], foundUDP
}

func (f *fragments) drop(r *reassembly) ([]byte, found) {
	r.busy = false
	f.lost++
	return nil, foundMalformed
}

// slot finds the datagram of a piece, or room for it.
func (f *fragments) slot(k fragmentKey, at stream.Time) *reassembly {
	f.clock++
	var free *reassembly
	for i := range f.slots {
		r := &f.slots[i]
		if r.busy && r.key == k {
			if at-r.begun <= fragmentAge && at >= r.begun {
				r.used = f.clock
				return r
			}
			r.busy = false
			f.lost++
		}
		if free == nil || !r.busy && free.busy || r.busy == free.busy && r.used < free.used {
			free = r
		}
	}
	if free.busy {
		f.lost++
	}
	if free.data == nil {
		free.data = make([]byte, slotSize)
	}
	free.key, free.busy, free.used, free.begun = k, true, f.clock, at
	free.units, free.total, free.highest = 0, 0, 0
	clear(free.have[:])
	return free
}

// count returns how many of the bits first..last-1 are set.
func (r *reassembly) count(first, last int) int {
	n := 0
	for i := first; i < last; {
		w, m, next := mask(i, last)
		n += bits.OnesCount64(r.have[w] & m)
		i = next
	}
	return n
}

func (r *reassembly) mark(first, last int) {
	r.units += last - first
	for i := first; i < last; {
		w, m, next := mask(i, last)
		r.have[w] |= m
		i = next
	}
}

// mask returns the word of bit i, the bits from i on that lie in it and before last,
// and the first bit behind it.
func mask(i, last int) (word int, m uint64, next int) {
	word = i / 64
	next = min(last, (word+1)*64)
	m = ^uint64(0) << (i % 64)
	if r := next % 64; r != 0 {
		m &= 1<<r - 1
	}
	return word, m, next
}
