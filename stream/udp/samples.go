package udp

import (
	"encoding/binary"
	"math"
	"strings"

	"neurostream/stream"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// SampleType is how one number lies on the wire.
type SampleType uint8

const (
	NoType SampleType = iota
	U8
	I8
	U16
	I16
	I24
	I32
	F32
	F64
	U32
	U24
)

var sampleTypes = [...]struct {
	name string
	size int
}{{"", 0}, {"u8", 1}, {"i8", 1}, {"u16", 2}, {"i16", 2}, {"i24", 3}, {"i32", 4}, {"f32", 4}, {"f64", 8}, {"u32", 4}, {"u24", 3}}

// String returns the name used in URLs.
func (t SampleType) String() string { return sampleTypes[t].name }

// Size returns the bytes of one number.
func (t SampleType) Size() int { return sampleTypes[t].size }

// Float reports whether the type is a floating-point one.
func (t SampleType) Float() bool { return t == F32 || t == F64 }

func (t SampleType) rangeOf() (low, high float64) {
	switch t {
	case U8, U16, U24, U32:
		return 0, math.Ldexp(1, 8*t.Size()) - 1
	case F32, F64, NoType:
		return 0, 0
	}
	h := math.Ldexp(1, 8*t.Size()-1)
	return -h, h - 1
}

// typeNames lists what parseType knows.
func typeNames() []string {
	var out []string
	for _, t := range sampleTypes[1:] {
		out = append(out, t.name)
	}
	return out
}

// parseType returns the type with this name; float32, int16 and the like will do.
func parseType(s string) SampleType {
	s = strings.NewReplacer("uint", "u", "int", "i", "float", "f", "double", "f64").Replace(strings.ToLower(s))
	for i, t := range sampleTypes {
		if i > 0 && t.name == s {
			return SampleType(i)
		}
	}
	return NoType
}

// number reads one number; p holds at least Size bytes.
func (t SampleType) number(p []byte, big bool) float64 {
	if big {
		switch t {
		case U16:
			return float64(be.Uint16(p))
		case I16:
			return float64(int16(be.Uint16(p)))
		case I24:
			return float64(int32(uint32(p[0])<<24|uint32(p[1])<<16|uint32(p[2])<<8) >> 8)
		case U24:
			return float64(uint32(p[0])<<16 | uint32(p[1])<<8 | uint32(p[2]))
		case I32:
			return float64(int32(be.Uint32(p)))
		case U32:
			return float64(be.Uint32(p))
		case F32:
			return float64(math.Float32frombits(be.Uint32(p)))
		case F64:
			return math.Float64frombits(be.Uint64(p))
		}
	}
	switch t {
	case U8:
		return float64(p[0])
	case I8:
		return float64(int8(p[0]))
	case U16:
		return float64(le.Uint16(p))
	case I16:
		return float64(int16(le.Uint16(p)))
	case I24:
		return float64(int32(uint32(p[2])<<24|uint32(p[1])<<16|uint32(p[0])<<8) >> 8)
	case U24:
		return float64(uint32(p[2])<<16 | uint32(p[1])<<8 | uint32(p[0]))
	case I32:
		return float64(int32(le.Uint32(p)))
	case U32:
		return float64(le.Uint32(p))
	case F32:
		return float64(math.Float32frombits(le.Uint32(p)))
	case F64:
		return math.Float64frombits(le.Uint64(p))
	}
	return 0
}

// unsigned reads an integer of up to eight bytes.
func unsigned(p []byte, big bool) uint64 {
	var v uint64
	for i := range p {
		b := p[i]
		if !big {
			b = p[len(p)-1-i]
		}
		v = v<<8 | uint64(b)
	}
	return v
}

// append writes one number. Integers round half to even and saturate; NaN is 0.
func (t SampleType) append(dst []byte, v float64, big bool) []byte {
	var bits uint64
	switch t {
	case F32:
		bits = uint64(math.Float32bits(float32(v)))
	case F64:
		bits = math.Float64bits(v)
	default:
		low, high := t.rangeOf()
		bits = uint64(roundTo(v, low, high))
	}
	return appendUnsigned(dst, bits, t.Size(), big)
}

func appendUnsigned(dst []byte, v uint64, size int, big bool) []byte {
	for i := range size {
		shift := 8 * i
		if big {
			shift = 8 * (size - 1 - i)
		}
		dst = append(dst, byte(v>>shift))
	}
	return dst
}

// matrix is a block of numbers on the wire.
type matrix struct {
	typ    SampleType
	big    bool
	byRow  bool    // channel after channel (channel-major); else column after column
	scales []Scale // per row, or nil
	tiles  []scaleTile
}

// decode appends columns read from p, which holds that many numbers or more. What is not a finite number becomes 0 and is marked bad.
func (m *matrix) decode(dst *stream.Chunk, p []byte, columns int) {
	from := dst.Len
	dst.Extend(columns)
	rows, size := dst.Rows(), m.typ.Size()
	p = p[:rows*columns*size]
	row, column := size, rows*size // bytes from one to the next
	if m.byRow {
		row, column = columns*size, size
	}
	if m.scales != nil && m.tiles == nil {
		m.prepare(rows)
	}
	for k := range dst.Tiles() {
		lanes := min(stream.Lanes, rows-k*stream.Lanes)
		tile := dst.Tile(k)[from:]
		m.tile(tile, lanes, p[k*stream.Lanes*row:], row, column)
		if m.scales != nil {
			m.tiles[k].scale(tile)
		}
		if m.typ.Float() {
			cleanse(dst, k, from, lanes)
		}
	}
}

// tile reads the numbers of up to eight rows. The layouts that are common are unrolled.
func (m *matrix) tile(tile [][stream.Lanes]float64, lanes int, p []byte, row, column int) {
	switch full := lanes == stream.Lanes && !m.big; {
	case full && m.typ == F32:
		for i := range tile {
			v, o := &tile[i], i*column
			v[0], v[1] = float32At(p, o), float32At(p, o+row)
			v[2], v[3] = float32At(p, o+2*row), float32At(p, o+3*row)
			v[4], v[5] = float32At(p, o+4*row), float32At(p, o+5*row)
			v[6], v[7] = float32At(p, o+6*row), float32At(p, o+7*row)
		}
		return
	case full && m.typ == I16 && row == 2:
		for i := range tile {
			v, q := &tile[i], p[i*column:][:2*stream.Lanes]
			for l := range v {
				v[l] = float64(int16(le.Uint16(q[2*l:])))
			}
		}
		return
	case full && m.typ == I16:
		for i := range tile {
			v, o := &tile[i], i*column
			for l := range v {
				v[l] = float64(int16(le.Uint16(p[o:])))
				o += row
			}
		}
		return
	}
	size := m.typ.Size()
	for i := range tile {
		v, o := &tile[i], i*column
		for l := range lanes {
			v[l] = m.typ.number(p[o:o+size], m.big)
			o += row
		}
	}
}

func float32At(p []byte, o int) float64 { return float64(math.Float32frombits(le.Uint32(p[o:]))) }

// scaleTile is what eight rows are scaled with; rows that are values, or none, have 1 and
// 0.
type scaleTile struct{ bit, offset [stream.Lanes]float64 }

// prepare lays the scales out by tile. They are fixed once samples come.
func (m *matrix) prepare(rows int) {
	m.tiles = make([]scaleTile, stream.TilesFor(rows))
	for ch := range len(m.tiles) * stream.Lanes {
		t, l := &m.tiles[ch/stream.Lanes], ch%stream.Lanes
		t.bit[l] = 1
		if ch < rows && m.scales[ch].Bit != 0 {
			t.bit[l], t.offset[l] = m.scales[ch].Bit, m.scales[ch].Offset
		}
	}
}

func (t *scaleTile) scale(tile [][stream.Lanes]float64) {
	for i := range tile {
		v := &tile[i]
		for l := range v {
			v[l] = float64(v[l]*t.bit[l]) + t.offset[l]
		}
	}
}

// cleanse zeroes and marks what is not finite in the columns of tile k from from on.
func cleanse(dst *stream.Chunk, k, from, lanes int) {
	tile := dst.Tile(k)
	for i := from; i < len(tile); i++ {
		v := &tile[i]
		// NaN if one of them is not finite, else 0: lanes not used are 0.
		if s := ((v[0] - v[0]) + (v[1] - v[1])) + ((v[2] - v[2]) + (v[3] - v[3])) + (((v[4] - v[4]) + (v[5] - v[5])) + ((v[6] - v[6]) + (v[7] - v[7]))); s == 0 {
			continue
		}
		for l := range lanes {
			if !finite(v[l]) {
				v[l] = 0
				dst.MarkBad(k*stream.Lanes+l, i)
			}
		}
	}
}

// put stores one number, or marks it bad when it is not finite.
func put(dst *stream.Chunk, ch, col int, v float64) {
	if !finite(v) {
		dst.Set(ch, col, 0)
		dst.MarkBad(ch, col)
		return
	}
	dst.Set(ch, col, v)
}

// encode appends columns from to to, undoing the scales. A sample marked bad is
// written as NaN where the type has one.
func (m *matrix) encode(dst []byte, src *stream.Chunk, from, to int) []byte {
	rows := src.Rows()
	one := func(ch, col int) {
		v := src.At(ch, col)
		if m.scales != nil && m.scales[ch].Bit != 0 {
			v = (v - m.scales[ch].Offset) / m.scales[ch].Bit
		}
		if src.Flags&stream.Bad != 0 && m.typ.Float() && src.IsBad(ch, col) {
			v = math.NaN()
		}
		dst = m.typ.append(dst, v, m.big)
	}
	if m.byRow {
		for ch := range rows {
			for col := from; col < to; col++ {
				one(ch, col)
			}
		}
		return dst
	}
	for col := from; col < to; col++ {
		for ch := range rows {
			one(ch, col)
		}
	}
	return dst
}

// nanoseconds returns a time in seconds, below 9·10^9, as whole nanoseconds.
func nanoseconds(v float64) int64 {
	s := math.Floor(v)
	return int64(s)*1e9 + int64(math.RoundToEven((v-s)*1e9))
}
