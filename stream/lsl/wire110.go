package lsl

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
)

// Protocol 1.10: samples follow each other without any frame.
//
//	sample  1 byte tag = 1                      stamp deduced from the one before
//	        1 byte tag = 2 + 8 bytes double     stamp in seconds of the sender's clock
//	        then one value per channel
//	number  4, 8, 1, 2, 4 or 8 bytes
//	string  1 byte width (1, 2, 4 or 8), width bytes length, content
//
// Stamps, numbers and lengths have the byte order of the handshake.
const (
	tagDeduced = 1
	tagStamped = 2
)

func (w *wire) order() binary.ByteOrder {
	if w.big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

func (w *wire) append110(dst []byte, stamp float64, deduced bool, packed []byte) []byte {
	if deduced {
		dst = append(dst, tagDeduced)
	} else {
		dst = append(dst, tagStamped)
		b := math.Float64bits(stamp)
		if w.big {
			b = bits.ReverseBytes64(b)
		}
		dst = le.AppendUint64(dst, b)
	}
	if w.format != String {
		from := len(dst)
		dst = append(dst, packed...)
		if w.big {
			swapValues(dst[from:], w.format.Size())
		}
		return dst
	}
	for len(packed) >= 4 {
		n := int(le.Uint32(packed))
		if n <= 0xff {
			dst = append(dst, 1, byte(n))
		} else {
			dst = append(dst, 4, 0, 0, 0, 0)
			w.order().PutUint32(dst[len(dst)-4:], uint32(n))
		}
		dst = append(dst, packed[4:4+n]...)
		packed = packed[4+n:]
	}
	return dst
}

func (w *wire) decode110(dst, src []byte) ([]byte, float64, bool, int, error) {
	if len(src) == 0 {
		return dst, 0, false, 0, errShort
	}
	var stamp float64
	n := 1
	switch src[0] {
	case tagDeduced:
	case tagStamped:
		if len(src) < 9 {
			return dst, 0, false, 0, errShort
		}
		b := le.Uint64(src[1:])
		if w.big {
			b = bits.ReverseBytes64(b)
		}
		stamp = math.Float64frombits(b)
		n = 9
	default:
		return dst, 0, false, 0, fmt.Errorf("%w: tag %d instead of 1 or 2", errSync, src[0])
	}
	deduced := src[0] == tagDeduced
	if w.format != String {
		size := w.channels * w.format.Size()
		if len(src) < n+size {
			return dst, 0, false, 0, errShort
		}
		from := len(dst)
		dst = append(dst, src[n:n+size]...)
		if w.big {
			swapValues(dst[from:], w.format.Size())
		}
		return dst, stamp, deduced, n + size, nil
	}
	from := len(dst)
	for range w.channels {
		if len(src) < n+1 {
			return dst[:from], 0, false, 0, errShort
		}
		width := int(src[n])
		n++
		if width != 1 && width != 2 && width != 4 && width != 8 {
			return dst[:from], 0, false, 0, fmt.Errorf("%w: string length of %d bytes", errSync, width)
		}
		if len(src) < n+width {
			return dst[:from], 0, false, 0, errShort
		}
		var size uint64
		switch width {
		case 1:
			size = uint64(src[n])
		case 2:
			size = uint64(w.order().Uint16(src[n:]))
		case 4:
			size = uint64(w.order().Uint32(src[n:]))
		case 8:
			size = w.order().Uint64(src[n:])
		}
		n += width
		if size > maxString || n+int(size) > maxSample {
			return dst[:from], 0, false, 0, fmt.Errorf("%w: a string of %d bytes; the limit is %d", errSync, size, maxString)
		}
		if uint64(len(src)-n) < size {
			return dst[:from], 0, false, 0, errShort
		}
		dst = append(le.AppendUint32(dst, uint32(size)), src[n:n+int(size)]...)
		n += int(size)
	}
	return dst, stamp, deduced, n, nil
}

func swapValues(p []byte, size int) {
	switch size {
	case 2:
		for ; len(p) >= 2; p = p[2:] {
			p[0], p[1] = p[1], p[0]
		}
	case 4:
		for ; len(p) >= 4; p = p[4:] {
			le.PutUint32(p, bits.ReverseBytes32(le.Uint32(p)))
		}
	case 8:
		for ; len(p) >= 8; p = p[8:] {
			le.PutUint64(p, bits.ReverseBytes64(le.Uint64(p)))
		}
	}
}
