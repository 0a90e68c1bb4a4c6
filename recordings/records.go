package recordings

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"neurostream/stream"
)

// coding is how a file stores one value. All are little-endian.
type coding uint8

const (
	codeInt8 coding = iota + 1
	codeUint8
	codeInt16
	codeUint16
	codeInt24
	codeUint24
	codeInt32
	codeUint32
	codeInt64
	codeUint64
	codeFloat32
	codeFloat64
)

// size returns the bytes of one value.
func (c coding) size() int {
	return [...]int{codeInt8: 1, codeUint8: 1, codeInt16: 2, codeUint16: 2, codeInt24: 3, codeUint24: 3, codeInt32: 4, codeUint32: 4, codeInt64: 8, codeUint64: 8, codeFloat32: 4, codeFloat64: 8}[c]
}

// row is where the values of one channel lie within a record, and how a code
// becomes a value: gain·code + offset.
type row struct {
	at           int // first byte
	code         coding
	gain, offset float64
}

// records is the part of a file that holds samples: records of equal size, each with
// perRecord values of every channel, channel after channel. Samples that are
// stored column by column are records of one value each; channels that are stored
// one after the other for the whole file are one record.
//
// It is the random access that EDF, GDF, BrainVision and EEGLAB files share.
type records struct {
	path      string
	file      io.ReaderAt
	base      int64 // first byte of the first record
	bytes     int   // of a record
	count     int64
	perRecord int
	rows      []row

	buf   []byte // records held, from number first on
	held  int64
	first int64
}

const (
	maxRecord = 256 << 20 // bytes of one record: it is read as a whole
	readAhead = 64 << 10  // bytes read at once when records are small
)

// Len returns the number of columns.
func (r *records) Len() int64 { return r.count * int64(r.perRecord) }

// ReadAt is the method of Recording.
func (r *records) ReadAt(dst *stream.Chunk, from int64) error {
	if from < 0 {
		return fmt.Errorf("%s: column %d asked for; columns count from 0", r.path, from)
	}
	dst.Resize(0)
	left := r.Len() - from
	if left <= 0 {
		return io.EOF
	}
	dst.Resize(int(min(left, int64(dst.Cap()))))
	per := int64(r.perRecord)
	for col := 0; col < dst.Len; {
		at := from + int64(col)
		data, err := r.load(at / per)
		if err != nil {
			dst.Resize(0)
			return err
		}
		k := int(at % per)
		n := min(dst.Len-col, r.perRecord-k)
		for ch := range r.rows {
			w := &r.rows[ch]
			w.decode(dst.Tile(ch / stream.Lanes)[col:col+n], ch%stream.Lanes, data[w.at+w.code.size()*k:])
		}
		col += n
	}
	return nil
}

// load returns record number n, valid until the next call.
func (r *records) load(n int64) ([]byte, error) {
	if n < r.first || n >= r.first+r.held {
		many := int64(max(1, readAhead/r.bytes))
		first := n - n%many
		many = min(many, r.count-first)
		if need := int(many) * r.bytes; cap(r.buf) < need {
			r.buf = make([]byte, need)
		}
		r.buf, r.held = r.buf[:int(many)*r.bytes], 0
		at := r.base + first*int64(r.bytes)
		if got, err := r.file.ReadAt(r.buf, at); got < len(r.buf) {
			return nil, fmt.Errorf("%s: byte %d: record %d cannot be read: %w", r.path, at+int64(got), n+1, err)
		}
		r.first, r.held = first, many
	}
	o := int(n-r.first) * r.bytes
	return r.buf[o : o+r.bytes], nil
}

// decode turns len(tile) codes into values of lane l.
func (w *row) decode(tile [][stream.Lanes]float64, l int, b []byte) {
	gain, offset := w.gain, w.offset
	switch w.code {
	case codeInt16:
		b = b[:2*len(tile)]
		for i := range tile {
			v := int16(uint16(b[2*i]) | uint16(b[2*i+1])<<8)
			tile[i][l] = float64(gain*float64(v)) + offset
		}
	case codeInt24:
		b = b[:3*len(tile)]
		for i := range tile {
			v := int32(uint32(b[3*i])<<8|uint32(b[3*i+1])<<16|uint32(b[3*i+2])<<24) >> 8
			tile[i][l] = float64(gain*float64(v)) + offset
		}
	case codeFloat32:
		b = b[:4*len(tile)]
		for i := range tile {
			v := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
			tile[i][l] = float64(gain*float64(v)) + offset
		}
	default:
		size := w.code.size()
		for i := range tile {
			tile[i][l] = float64(gain*w.code.value(b[size*i:])) + offset
		}
	}
}

// value decodes one code.
func (c coding) value(b []byte) float64 {
	switch c {
	case codeInt8:
		return float64(int8(b[0]))
	case codeUint8:
		return float64(b[0])
	case codeInt16:
		return float64(int16(binary.LittleEndian.Uint16(b)))
	case codeUint16:
		return float64(binary.LittleEndian.Uint16(b))
	case codeInt24:
		return float64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24) >> 8)
	case codeUint24:
		return float64(uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16)
	case codeInt32:
		return float64(int32(binary.LittleEndian.Uint32(b)))
	case codeUint32:
		return float64(binary.LittleEndian.Uint32(b))
	case codeInt64:
		return float64(int64(binary.LittleEndian.Uint64(b)))
	case codeUint64:
		return float64(binary.LittleEndian.Uint64(b))
	case codeFloat32:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}
