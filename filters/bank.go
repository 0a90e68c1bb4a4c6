package filters

import (
	"errors"
	"fmt"
	"strings"

	"neurostream/stream"
)

// Band is a named range of frequencies in Hz.
type Band struct {
	Name      string
	Low, High float64
}

// FilterBank runs several band-passes side by side. Row b·C+c of its output is channel
// c in band b, called "C3 alpha": what filter-bank CSP and FBCCA take.
//
// Delay and Settle grow by those of the slowest band. Cost: that of Bandpass for every
// band; the input is checked once.
type FilterBank struct {
	Bands       []Band
	Family      Family  // "" = butterworth
	Order       int     // per edge, 1 to 16; 0 = 4
	Ripple      float64 // dB in the pass band; 0 = 1
	Attenuation float64 // dB in the stop band; 0 = 40

	rows  int
	bands []cascade
	clean *stream.Chunk // the input without what is no measurement
	last  [][stream.Lanes]float64
	work  [][stream.Lanes]float64
}

// Open designs the filters for the stream's rate.
func (f *FilterBank) Open(in stream.Header) (stream.Header, error) {
	if len(f.Bands) == 0 {
		return stream.Header{}, errors.New("bands is empty; give at least one, e.g. {alpha: [8, 13]}")
	}
	if err := in.Validate(); err != nil {
		return stream.Header{}, err
	}
	out := in.Clone()
	out.Channels = nil
	f.rows, f.bands = in.Rows(), nil
	for _, b := range f.Bands {
		one := IIR{Family: f.Family, Kind: BandPass, Low: b.Low, High: b.High, Order: f.Order, Ripple: f.Ripple, Attenuation: f.Attenuation}
		h, err := one.Open(in)
		if err != nil {
			return stream.Header{}, fmt.Errorf("band %s: %w", b.Name, err)
		}
		out.Delay, out.Settle = max(out.Delay, h.Delay), max(out.Settle, h.Settle)
		f.bands = append(f.bands, one.run)
		for _, c := range in.Channels {
			c.Label = strings.TrimSpace(c.Label + " " + b.Name)
			out.Channels = append(out.Channels, c)
		}
	}
	if err := out.Validate(); err != nil {
		return stream.Header{}, err
	}
	f.clean = stream.NewChunk(&in)
	f.last = make([][stream.Lanes]float64, f.clean.Tiles())
	f.work = make([][stream.Lanes]float64, in.MaxLen)
	return out, nil
}

// Process filters a chunk.
func (f *FilterBank) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	dst.Flags &^= stream.Bad
	for k := range dst.Tiles() {
		clear(dst.Bad(k))
	}
	in := f.clean
	in.Follow(src)
	if src.Flags.Broken() {
		f.Reset()
	}
	if src.Len == 0 {
		return
	}
	aligned := f.rows%stream.Lanes == 0
	for k := range src.Tiles() {
		clean(in, src, k, &f.last[k])
		for b := range f.bands {
			if first := b*f.rows/stream.Lanes + k; aligned {
				to := dst.Tile(first)
				copy(to, in.Tile(k))
				f.bands[b].run(k, src.Seq, to, in.Bad(k))
				continue
			}
			work := f.work[:src.Len]
			copy(work, in.Tile(k))
			f.bands[b].run(k, src.Seq, work, in.Bad(k))
			for l := range min(stream.Lanes, f.rows-k*stream.Lanes) {
				row := b*f.rows + k*stream.Lanes + l
				to, at := dst.Tile(row/stream.Lanes), row%stream.Lanes
				for i := range to {
					to[i][at] = work[i][l]
				}
			}
		}
	}
	if in.Flags&stream.Bad != 0 {
		f.mark(dst, in)
	}
}

func (f *FilterBank) mark(dst, in *stream.Chunk) {
	for ch := range f.rows {
		marks := in.Bad(ch / stream.Lanes)
		for i, m := range marks {
			if m>>(ch%stream.Lanes)&1 == 0 {
				continue
			}
			for b := range f.bands {
				dst.MarkBad(b*f.rows+ch, i)
			}
		}
	}
}

// Reset forgets the past.
func (f *FilterBank) Reset() {
	clear(f.last)
	for b := range f.bands {
		f.bands[b].reset()
	}
}

// Snapshot appends the state.
func (f *FilterBank) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Tiles(f.last)
	for b := range f.bands {
		w.Buf = f.bands[b].snapshot(w.Buf)
	}
	return w.Buf
}

// Restore sets it.
func (f *FilterBank) Restore(state []byte) error {
	r := stream.StateReader{Buf: state}
	r.Tiles(f.last)
	for b := range f.bands {
		f.bands[b].read(&r)
	}
	return r.Err()
}
