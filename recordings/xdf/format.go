package xdf

import (
	"encoding/binary"
	"math"
	"slices"
)

// Format is the type of a stream's values.
type Format uint8

// The formats, by their names in stream headers.
const (
	Float32 Format = iota + 1
	Double64
	String
	Int32
	Int16
	Int8
	Int64
)

var formatNames = [...]string{Float32: "float32", Double64: "double64", String: "string", Int32: "int32", Int16: "int16", Int8: "int8", Int64: "int64"}

// String returns the format's name in stream headers.
func (f Format) String() string {
	if int(f) < len(formatNames) && f > 0 {
		return formatNames[f]
	}
	return "unknown"
}

// ParseFormat returns the format with this name.
func ParseFormat(name string) (Format, bool) {
	for f := Float32; f <= Int64; f++ {
		if formatNames[f] == name {
			return f, true
		}
	}
	return 0, false
}

// Size returns the bytes of one value; 0 for strings.
func (f Format) Size() int {
	switch f {
	case Double64, Int64:
		return 8
	case Float32, Int32:
		return 4
	case Int16:
		return 2
	case Int8:
		return 1
	}
	return 0
}

// floats decodes len(dst) values; the choice of format is made once for all.
func (f Format) floats(dst []float64, b []byte) {
	switch f {
	case Float32:
		b = b[:4*len(dst)]
		for i := range dst {
			dst[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
		}
	case Double64:
		b = b[:8*len(dst)]
		for i := range dst {
			dst[i] = math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:]))
		}
	default:
		w := f.Size()
		for i := range dst {
			dst[i] = float64(f.integer(b[w*i:]))
		}
	}
}

// integer decodes one value of an integer format.
func (f Format) integer(b []byte) int64 {
	switch f {
	case Int8:
		return int64(int8(b[0]))
	case Int16:
		return int64(int16(binary.LittleEndian.Uint16(b)))
	case Int32:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case Int64:
		return int64(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// limits returns the range of an integer format.
func (f Format) limits() (lo, hi int64) {
	switch f {
	case Int8:
		return math.MinInt8, math.MaxInt8
	case Int16:
		return math.MinInt16, math.MaxInt16
	case Int32:
		return math.MinInt32, math.MaxInt32
	}
	return math.MinInt64, math.MaxInt64
}

// appendInteger encodes one value of an integer format.
func (f Format) appendInteger(b []byte, v int64) []byte {
	switch f {
	case Int8:
		return append(b, byte(v))
	case Int16:
		return binary.LittleEndian.AppendUint16(b, uint16(v))
	case Int32:
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(b, uint64(v))
}

// appendFloats encodes values; integer formats round to the nearest and stop at
// their limits, and a value that is not a number becomes 0 there.
func (f Format) appendFloats(b []byte, values []float64) []byte {
	n := len(b)
	switch f {
	case Float32:
		b = slices.Grow(b, 4*len(values))[:n+4*len(values)]
		for i, v := range values {
			binary.LittleEndian.PutUint32(b[n+4*i:], math.Float32bits(float32(v)))
		}
	case Double64:
		b = slices.Grow(b, 8*len(values))[:n+8*len(values)]
		for i, v := range values {
			binary.LittleEndian.PutUint64(b[n+8*i:], math.Float64bits(v))
		}
	default:
		lo, hi := f.limits()
		for _, v := range values {
			b = f.appendInteger(b, whole(v, lo, hi))
		}
	}
	return b
}

// whole returns the whole number nearest to v from lo to hi.
func whole(v float64, lo, hi int64) int64 {
	n := int64(0)
	switch v = math.RoundToEven(v); {
	case v >= float64(hi): // float64(MaxInt64) is 2^63, one too many
		n = hi
	case v <= float64(lo):
		n = lo
	case v == v:
		n = int64(v)
	}
	return n
}
