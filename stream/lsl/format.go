package lsl

import "fmt"

// Format is the type of a stream's values. The numbers are liblsl's.
type Format uint8

// The channel formats.
const (
	Undefined Format = iota
	Float32
	Double64
	String
	Int32
	Int16
	Int8
	Int64
)

var (
	formatNames = [...]string{"undefined", "float32", "double64", "string", "int32", "int16", "int8", "int64"}
	formatSizes = [...]int{0, 4, 8, 0, 4, 2, 1, 8}
)

// String returns the name used in stream infos.
func (f Format) String() string {
	if int(f) < len(formatNames) {
		return formatNames[f]
	}
	return fmt.Sprintf("format-%d", uint8(f))
}

// Size returns the bytes of one value; 0 for strings.
func (f Format) Size() int {
	if int(f) < len(formatSizes) {
		return formatSizes[f]
	}
	return 0
}

// Float reports whether values are IEEE 754 numbers.
func (f Format) Float() bool { return f == Float32 || f == Double64 }

// FormatOf returns the format with this name.
func FormatOf(name string) (Format, bool) {
	for i, n := range formatNames {
		if n == name && i != 0 {
			return Format(i), true
		}
	}
	return Undefined, false
}

// Limits on what a peer may announce or send. liblsl has none; a hostile or broken
// peer must not make us allocate without bound.
const (
	maxInfo     = 16 << 20 // bytes of a stream info with its description
	maxDepth    = 64       // nesting of a description, and of an XPath expression
	maxHeader   = 64 << 10 // bytes of a handshake
	maxString   = 16 << 20 // bytes of one string value
	maxSample   = 64 << 20 // bytes of one sample
	maxChannels = 1 << 16  // as many as a stream.Chunk has
	maxDatagram = 1 << 16
)
