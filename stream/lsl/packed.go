package lsl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"neurostream/stream"
)

// Packed is how a sample lies in our queues, whatever it was on the wire:
//
//	numeric   one value after the other, little endian, Format.Size bytes each
//	string    per value: length (4 bytes, little endian), then the bytes
//
// The numeric form is also what XDF stores.

var le = binary.LittleEndian

// roundTo returns v as an integer of the given range: rounded half to even,
// saturated, 0 for NaN.
func roundTo(v, low, high float64) int64 {
	switch {
	case math.IsNaN(v):
		return 0
	case v <= low:
		return int64(low)
	case v >= high:
		if high >= 1<<63 {
			return math.MaxInt64
		}
		return int64(high)
	}
	return int64(math.RoundToEven(v))
}

// appendValue appends one number in packed form. Integer formats round half to
// even and saturate; NaN becomes 0 there.
func appendValue(dst []byte, f Format, v float64) []byte {
	switch f {
	case Float32:
		return le.AppendUint32(dst, math.Float32bits(float32(v)))
	case Double64:
		return le.AppendUint64(dst, math.Float64bits(v))
	case Int8:
		return append(dst, byte(int8(roundTo(v, math.MinInt8, math.MaxInt8))))
	case Int16:
		return le.AppendUint16(dst, uint16(roundTo(v, math.MinInt16, math.MaxInt16)))
	case Int32:
		return le.AppendUint32(dst, uint32(roundTo(v, math.MinInt32, math.MaxInt32)))
	case Int64:
		return le.AppendUint64(dst, uint64(roundTo(v, math.MinInt64, 1<<63)))
	}
	panic("lsl: numbers into a stream of " + f.String())
}

// appendInt appends one integer in packed form, exactly for Int64.
func appendInt(dst []byte, f Format, v int64) []byte {
	if f == Int64 {
		return le.AppendUint64(dst, uint64(v))
	}
	return appendValue(dst, f, float64(v))
}

func appendString(dst []byte, s string) []byte {
	return append(le.AppendUint32(dst, uint32(len(s))), s...)
}

// appendColumn appends one column of a chunk in packed form.
func appendColumn(dst []byte, f Format, c *stream.Chunk, col int) []byte {
	rows := c.Rows()
	for k := range c.Tiles() {
		lanes := min(stream.Lanes, rows-k*stream.Lanes)
		v := &c.Tile(k)[col]
		switch f {
		case Float32:
			for l := range lanes {
				dst = le.AppendUint32(dst, math.Float32bits(float32(v[l])))
			}
		case Double64:
			for l := range lanes {
				dst = le.AppendUint64(dst, math.Float64bits(v[l]))
			}
		default:
			for l := range lanes {
				dst = appendValue(dst, f, v[l])
			}
		}
	}
	return dst
}

// unpackColumn decodes a packed sample straight into a chunk's tiles. What is not
// finite becomes 0 and is marked bad. Strings are not decoded.
func unpackColumn(c *stream.Chunk, col int, f Format, packed []byte) {
	rows := c.Rows()
	size := f.Size()
	if size == 0 || len(packed) < rows*size {
		return
	}
	for k := range c.Tiles() {
		lanes := min(stream.Lanes, rows-k*stream.Lanes)
		v := &c.Tile(k)[col]
		p := packed[k*stream.Lanes*size:]
		p = p[:lanes*size]
		switch f {
		case Float32:
			for l := range lanes {
				v[l] = float64(math.Float32frombits(le.Uint32(p[4*l:])))
			}
		case Double64:
			for l := range lanes {
				v[l] = math.Float64frombits(le.Uint64(p[8*l:]))
			}
		case Int8:
			for l := range lanes {
				v[l] = float64(int8(p[l]))
			}
		case Int16:
			for l := range lanes {
				v[l] = float64(int16(le.Uint16(p[2*l:])))
			}
		case Int32:
			for l := range lanes {
				v[l] = float64(int32(le.Uint32(p[4*l:])))
			}
		case Int64:
			for l := range lanes {
				v[l] = float64(int64(le.Uint64(p[8*l:])))
			}
		}
		for l := lanes; l < stream.Lanes; l++ {
			v[l] = 0
		}
		if f.Float() {
			for l := range lanes {
				if v[l]-v[l] != 0 { // NaN or infinite
					v[l] = 0
					c.MarkBad(k*stream.Lanes+l, col)
				}
			}
		}
	}
}

// Numbers appends a packed sample's values to dst as float64; int64 values beyond
// 2^53 lose their low bits (use Ints).
func Numbers(dst []float64, f Format, packed []byte) []float64 {
	for size := f.Size(); size > 0 && len(packed) >= size; packed = packed[size:] {
		var v float64
		switch f {
		case Float32:
			v = float64(math.Float32frombits(le.Uint32(packed)))
		case Double64:
			v = math.Float64frombits(le.Uint64(packed))
		default:
			v = float64(intAt(f, packed))
		}
		dst = append(dst, v)
	}
	return dst
}

// Ints appends a packed sample's integer values to dst, exactly.
func Ints(dst []int64, f Format, packed []byte) []int64 {
	for size := f.Size(); size > 0 && len(packed) >= size; packed = packed[size:] {
		dst = append(dst, intAt(f, packed))
	}
	return dst
}

func intAt(f Format, p []byte) int64 {
	switch f {
	case Int8:
		return int64(int8(p[0]))
	case Int16:
		return int64(int16(le.Uint16(p)))
	case Int32:
		return int64(int32(le.Uint32(p)))
	case Int64:
		return int64(le.Uint64(p))
	}
	return 0
}

// Strings appends a packed sample's strings to dst; they share packed's memory.
func Strings(dst [][]byte, packed []byte) [][]byte {
	for len(packed) >= 4 {
		n := int(le.Uint32(packed))
		if n > len(packed)-4 {
			break
		}
		dst = append(dst, packed[4:4+n:4+n])
		packed = packed[4+n:]
	}
	return dst
}

// wire is how the samples of one connection look.
type wire struct {
	format     Format
	channels   int
	version    int  // 100 or 110
	big        bool // 1.10 only: big endian
	noDenormal bool // the receiver replaces subnormal numbers by zeros
}

// errShort says that a sample is not complete yet. Every other error of decode
// means that the place in the byte stream is lost.
var errShort = errors.New("incomplete sample")

var errSync = errors.New("the byte stream is out of step")

// append appends one sample as it goes over the wire.
func (w *wire) append(dst []byte, stamp float64, deduced bool, packed []byte) []byte {
	if w.version < 110 {
		return w.append100(dst, stamp, deduced, packed)
	}
	return w.append110(dst, stamp, deduced, packed)
}

// decode reads one sample from the front of src, appends it to dst in packed form
// and returns how many bytes it was. deduced samples carry no stamp.
func (w *wire) decode(dst, src []byte) (packed []byte, stamp float64, deduced bool, n int, err error) {
	from := len(dst)
	if w.version < 110 {
		packed, stamp, deduced, n, err = w.decode100(dst, src)
	} else {
		packed, stamp, deduced, n, err = w.decode110(dst, src)
	}
	if err == nil && w.noDenormal {
		flush(w.format, packed[from:])
	}
	return packed, stamp, deduced, n, err
}

// flush replaces subnormal numbers by zeros of the same sign.
func flush(f Format, p []byte) {
	switch f {
	case Float32:
		for ; len(p) >= 4; p = p[4:] {
			if b := le.Uint32(p); b&0x7f800000 == 0 {
				le.PutUint32(p, b&0x80000000)
			}
		}
	case Double64:
		for ; len(p) >= 8; p = p[8:] {
			if b := le.Uint64(p); b&0x7ff0000000000000 == 0 {
				le.PutUint64(p, b&0x8000000000000000)
			}
		}
	}
}

// testStamp is the stamp of the two samples that open every feed.
const testStamp = 123456.789

// testPattern appends the packed values of a test sample, which both sides know:
// the offset is 4 for the first and 2 for the second.
func (w *wire) testPattern(dst []byte, offset int64) []byte {
	for k := range int64(w.channels) {
		var v int64
		switch w.format {
		case Float32:
			v = k + offset
		case Double64:
			v = k + offset + 16777217
		case Int32:
			v = (k + offset + 65537) % 2147483647
		case Int16:
			v = (k + offset + 257) % 32767
		case Int8:
			v = (k + offset + 1) % 127
		case Int64:
			v = k + offset + 2147483649
		case String:
			v = k + 10
		}
		if k%2 == 1 {
			v = -v
		}
		if w.format == String {
			dst = appendString(dst, fmt.Sprint(v))
		} else {
			dst = appendInt(dst, w.format, v)
		}
	}
	return dst
}
