package lsl

import (
	"fmt"
	"math"
)

// Protocol 1.00: a portable archive, always little endian.
//
//	feed    0x7F  int(9)  string(shortinfo XML)  0 0  test sample  test sample  samples
//	sample  int(tag)  [int(bits of the stamp)]  one value per channel
//	value   int for integers, int(IEEE bits) for floats, string for strings
//	string  int(length), content
//	int(v)  0x00                     v = 0
//	        n, n bytes               the least n bytes that tell v; the rest is zeros
//	        -n (signed), n bytes     the same for v < 0; the rest is ones
const (
	archiveMagic      = 0x7f
	archiveVersion    = 9
	archiveMaxVersion = 17
)

// appendArchiveInt appends v, of which the low size bytes count; signed values are
// given sign-extended.
func appendArchiveInt(dst []byte, v uint64, signed bool) []byte {
	if v == 0 {
		return append(dst, 0)
	}
	negative := signed && int64(v) < 0
	n := 0
	if negative {
		for x := int64(v); ; {
			n++
			if x >>= 8; x == -1 {
				break
			}
		}
		dst = append(dst, byte(-int8(n)))
	} else {
		for x := v; x != 0; x >>= 8 {
			n++
		}
		dst = append(dst, byte(n))
	}
	for range n {
		dst = append(dst, byte(v))
		v >>= 8
	}
	return dst
}

// archiveInt reads an integer of at most width bytes.
func archiveInt(src []byte, width int, signed bool) (v uint64, n int, err error) {
	if len(src) == 0 {
		return 0, 0, errShort
	}
	size := int(int8(src[0]))
	if size == 0 {
		return 0, 1, nil
	}
	negative := size < 0
	if negative {
		size = -size
		v = math.MaxUint64
	}
	if size > width || negative && !signed {
		return 0, 0, fmt.Errorf("%w: an integer of %d bytes where at most %d fit", errSync, int(int8(src[0])), width)
	}
	if len(src) < 1+size {
		return 0, 0, errShort
	}
	for i := size; i >= 1; i-- {
		v = v<<8 | uint64(src[i])
	}
	return v, 1 + size, nil
}

func appendArchiveString[T string | []byte](dst []byte, s T) []byte {
	return append(appendArchiveInt(dst, uint64(len(s)), false), s...)
}

func archiveString(src []byte, limit uint64) (s []byte, n int, err error) {
	size, n, err := archiveInt(src, 8, false)
	if err != nil {
		return nil, 0, err
	}
	if size > limit {
		return nil, 0, fmt.Errorf("%w: a string of %d bytes; the limit is %d", errSync, size, limit)
	}
	if uint64(len(src)-n) < size {
		return nil, 0, errShort
	}
	return src[n : n+int(size)], n + int(size), nil
}

// appendArchiveHeader appends what comes before the first sample.
func appendArchiveHeader(dst, shortinfo []byte) []byte {
	dst = appendArchiveInt(append(dst, archiveMagic), archiveVersion, false)
	return append(appendArchiveString(dst, shortinfo), 0, 0)
}

// parseArchiveHeader reads it.
func parseArchiveHeader(src []byte) (shortinfo []byte, n int, err error) {
	if len(src) == 0 {
		return nil, 0, errShort
	}
	if src[0] != archiveMagic {
		return nil, 0, fmt.Errorf("%w: no archive begins with byte %#x", errSync, src[0])
	}
	version, k, err := archiveInt(src[1:], 2, false)
	if err != nil {
		return nil, 0, err
	}
	if version > archiveMaxVersion {
		return nil, 0, fmt.Errorf("archive version %d is newer than %d", version, archiveMaxVersion)
	}
	n = 1 + k
	if shortinfo, k, err = archiveString(src[n:], maxInfo); err != nil {
		return nil, 0, err
	}
	n += k
	if len(src) < n+2 {
		return nil, 0, errShort
	}
	if src[n] != 0 || src[n+1] != 0 {
		return nil, 0, fmt.Errorf("%w: class header %x", errSync, src[n:n+2])
	}
	return shortinfo, n + 2, nil
}

func (w *wire) append100(dst []byte, stamp float64, deduced bool, packed []byte) []byte {
	if deduced {
		dst = append(dst, 1, tagDeduced)
	} else {
		dst = append(dst, 1, tagStamped)
		dst = appendArchiveInt(dst, math.Float64bits(stamp), false)
	}
	size := w.format.Size()
	switch w.format {
	case String:
		for len(packed) >= 4 {
			n := int(le.Uint32(packed))
			dst = appendArchiveString(dst, packed[4:4+n])
			packed = packed[4+n:]
		}
	case Float32: // every NaN becomes the archive's one NaN
		for ; len(packed) >= size; packed = packed[size:] {
			b := le.Uint32(packed)
			if b&0x7fffffff > 0x7f800000 {
				b = 0x7fffffff
			}
			dst = appendArchiveInt(dst, uint64(b), false)
		}
	case Double64:
		for ; len(packed) >= size; packed = packed[size:] {
			b := le.Uint64(packed)
			if b&math.MaxInt64 > 0x7ff0000000000000 {
				b = math.MaxInt64
			}
			dst = appendArchiveInt(dst, b, false)
		}
	default:
		for ; len(packed) >= size; packed = packed[size:] {
			dst = appendArchiveInt(dst, uint64(intAt(w.format, packed)), true)
		}
	}
	return dst
}

func (w *wire) decode100(dst, src []byte) ([]byte, float64, bool, int, error) {
	from := len(dst)
	fail := func(err error) ([]byte, float64, bool, int, error) { return dst[:from], 0, false, 0, err }
	tag, n, err := archiveInt(src, 1, true)
	if err != nil {
		return fail(err)
	}
	var stamp float64
	switch tag {
	case tagDeduced:
	case tagStamped:
		b, k, err := archiveInt(src[n:], 8, false)
		if err != nil {
			return fail(err)
		}
		stamp = math.Float64frombits(b)
		n += k
	default:
		return fail(fmt.Errorf("%w: tag %d instead of 1 or 2", errSync, tag))
	}
	size := w.format.Size()
	for range w.channels {
		if w.format == String {
			s, k, err := archiveString(src[n:], maxString)
			if err != nil {
				return fail(err)
			}
			if n+k > maxSample {
				return fail(fmt.Errorf("%w: a sample of more than %d bytes", errSync, maxSample))
			}
			dst = append(le.AppendUint32(dst, uint32(len(s))), s...)
			n += k
			continue
		}
		v, k, err := archiveInt(src[n:], size, !w.format.Float())
		if err != nil {
			return fail(err)
		}
		n += k
		switch size {
		case 1:
			dst = append(dst, byte(v))
		case 2:
			dst = le.AppendUint16(dst, uint16(v))
		case 4:
			dst = le.AppendUint32(dst, uint32(v))
		case 8:
			dst = le.AppendUint64(dst, v)
		}
	}
	return dst, stamp, tag == tagDeduced, n, nil
}
