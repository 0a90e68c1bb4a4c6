package xdf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Tags of chunks.
const (
	tagFileHeader = 1 + iota
	tagStreamHeader
	tagSamples
	tagClockOffset
	tagBoundary
	tagStreamFooter
)

// maxChunk bounds the bytes of one chunk: a chunk is in memory as a whole.
const maxChunk = 256 << 20

var (
	magic    = []byte("XDF:")
	boundary = [16]byte{0x43, 0xA5, 0x46, 0xDC, 0xCB, 0xF5, 0x41, 0x0F, 0xB3, 0x0E, 0xD5, 0x46, 0x73, 0x83, 0xCB, 0xE4}
)

// varlen reads a length: its value and the bytes it took, 0 when there is none.
func varlen(b []byte) (v uint64, n int) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return 0, 0
	}
	switch b[0] {
	case 1:
		return uint64(b[1]), 2
	case 4:
		return uint64(binary.LittleEndian.Uint32(b[1:])), 5
	case 8:
		return binary.LittleEndian.Uint64(b[1:]), 9
	}
	return 0, 0
}

// appendVarlen writes a length in its shortest form.
func appendVarlen(b []byte, v int) []byte {
	switch {
	case v <= math.MaxUint8:
		return append(b, 1, byte(v))
	case v <= math.MaxUint32:
		return binary.LittleEndian.AppendUint32(append(b, 4), uint32(v))
	}
	return binary.LittleEndian.AppendUint64(append(b, 8), uint64(v))
}

// appendChunk writes a chunk of one stream (of the file when owned is false).
func appendChunk(b []byte, tag uint16, id uint32, owned bool, content []byte) []byte {
	n := 2 + len(content)
	if owned {
		n += 4
	}
	b = binary.LittleEndian.AppendUint16(appendVarlen(b, n), tag)
	if owned {
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	return append(b, content...)
}

// piece is the place of one chunk.
type piece struct {
	pos  int64 // of its first byte
	body int64 // of the content after the tag
	end  int64
	tag  uint16
}

// window reads a file through a buffer that moves forward. Slices it returns are
// valid until the next call.
type window struct {
	r    io.ReaderAt
	size int64
	buf  []byte
	at   int64 // file position of buf[0]
}

const windowSize = 1 << 20

// slice returns n bytes at off; fewer when the file ends.
func (w *window) slice(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), w.size-off))
	if n <= 0 {
		return nil, nil
	}
	if off < w.at || off+int64(n) > w.at+int64(len(w.buf)) {
		// Keep some of the past: looking for the next chunk goes back and forth.
		from := max(0, off-16)
		want := int(min(w.size-from, int64(max(windowSize, n+16))))
		if cap(w.buf) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.at = w.buf[:want], from
		if got, err := w.r.ReadAt(w.buf, from); got < want {
			w.buf = w.buf[:0]
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("byte %d: %w", from+int64(got), err)
		}
	}
	i := int(off - w.at)
	return w.buf[i : i+n : i+n], nil
}

// headAt reads the head of the chunk at pos. ok is false when there is none that
// could be: an impossible length, or more than the file holds.
func (w *window) headAt(pos int64) (p piece, ok bool, err error) {
	b, err := w.slice(pos, 11)
	if err != nil {
		return p, false, err
	}
	length, n := varlen(b)
	if n == 0 || length < 2 || length > maxChunk || len(b) < n+2 || int64(length) > w.size-pos-int64(n) {
		return p, false, nil
	}
	p = piece{pos: pos, body: pos + int64(n) + 2, end: pos + int64(n) + int64(length), tag: binary.LittleEndian.Uint16(b[n:])}
	return p, true, nil
}

func (w *window) content(p piece) ([]byte, error) { return w.slice(p.body, int(p.end-p.body)) }
