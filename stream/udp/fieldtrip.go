package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"

	"neurostream/stream"
)

// FieldTrip buffer, TCP (usually 1972): requests and responses. The byte order is
// that in which the version reads 1.
//
//	message    u16 version 1   u16 command   u32 bytes that follow
//	commands   101h 102h 103h put header, data, events   104h 105h done, refused
//	           201h 202h 203h get header, data, events   204h 205h here it is, there is none
//	           301h 302h 303h flush header, data, events 304h 305h done, refused
//	           402h wait   404h 405h
//	header     u32 C  u32 samples  u32 events  f32 rate  u32 type  u32 bytes of chunks
//	           chunks: u32 kind  u32 bytes  …   1 labels, each ended by a zero; 3 f64[C] resolutions
//	data       u32 C  u32 n  u32 type  u32 bytes   samples, column after column
//	event      u32 type of type  u32 its number  u32 type of value  u32 its number
//	           i32 sample  i32 offset  i32 duration  u32 bytes   type, value
//	select     u32 first  u32 last, both included
//	wait       u32 samples  u32 events  u32 ms
//	types      0 char 1–4 u8 u16 u32 u64  5–8 i8 i16 i32 i64  9 f32  10 f64
//
// There is no unit and no clock: unit= says the one, and the sample number is the
// evidence. Samples of events are taken as counted from 0, which is not verified
// with every acquisition program.
//
// Source: FieldTrip, realtime/src/buffer, message.h.
const (
	ftPutHeader   = 0x101
	ftPutData     = 0x102
	ftPutEvents   = 0x103
	ftPutOK       = 0x104
	ftPutError    = 0x105
	ftGetHeader   = 0x201
	ftGetData     = 0x202
	ftGetEvents   = 0x203
	ftGetOK       = 0x204
	ftGetError    = 0x205
	ftFlushHeader = 0x301
	ftFlushData   = 0x302
	ftFlushEvents = 0x303
	ftFlushOK     = 0x304
	ftFlushError  = 0x305
	ftWait        = 0x402
	ftWaitOK      = 0x404
	ftWaitError   = 0x405

	ftMost = 1 << 26 // bytes of a message
)

var ftSizes = [...]int{1, 1, 2, 4, 8, 1, 2, 4, 8, 4, 8}

// ftHeader is what a buffer holds.
type ftHeader struct {
	channels, samples, events uint32
	rate                      float32
	typ                       uint32
	labels                    []string
	resolutions               []float64
}

// parseFTHeader reads the body of a header.
func parseFTHeader(p []byte, o binary.ByteOrder) (*ftHeader, error) {
	if len(p) < 24 {
		return nil, fmt.Errorf("fieldtrip: a header of %d bytes, not 24", len(p))
	}
	h := &ftHeader{
		channels: o.Uint32(p), samples: o.Uint32(p[4:]), events: o.Uint32(p[8:]),
		rate: math.Float32frombits(o.Uint32(p[12:])), typ: o.Uint32(p[16:]),
	}
	switch size := o.Uint32(p[20:]); {
	case h.channels == 0 || h.channels > stream.MaxChannels:
		return nil, fmt.Errorf("fieldtrip: a header of %d channels", h.channels)
	case int(h.typ) >= len(ftSizes):
		return nil, fmt.Errorf("fieldtrip: data type %d is not known", h.typ)
	case !(h.rate >= 0) || math.IsInf(float64(h.rate), 0):
		return nil, fmt.Errorf("fieldtrip: a rate of %g Hz", h.rate)
	case int64(size) != int64(len(p)-24):
		return nil, fmt.Errorf("fieldtrip: %d bytes of chunks are announced, %d are there", size, len(p)-24)
	}
	for p = p[24:]; len(p) > 0; {
		if len(p) < 8 || int64(o.Uint32(p[4:])) > int64(len(p)-8) {
			return nil, errors.New("fieldtrip: the header ends inside a chunk")
		}
		kind, size := o.Uint32(p), int(o.Uint32(p[4:]))
		body := p[8 : 8+size]
		switch kind {
		case 1:
			for _, l := range strings.SplitN(string(body), "\x00", int(h.channels)+1) {
				if len(h.labels) < int(h.channels) {
					h.labels = append(h.labels, l)
				}
			}
		case 3:
			if size == 8*int(h.channels) {
				for i := range int(h.channels) {
					h.resolutions = append(h.resolutions, math.Float64frombits(o.Uint64(body[8*i:])))
				}
			}
		}
		p = p[8+size:]
	}
	return h, nil
}

func (h *ftHeader) append(dst []byte, o binary.AppendByteOrder) []byte {
	var chunks []byte
	if h.labels != nil {
		names := strings.Join(h.labels, "\x00") + "\x00"
		chunks = append(o.AppendUint32(o.AppendUint32(chunks, 1), uint32(len(names))), names...)
	}
	if h.resolutions != nil {
		chunks = o.AppendUint32(o.AppendUint32(chunks, 3), uint32(8*len(h.resolutions)))
		for _, r := range h.resolutions {
			chunks = o.AppendUint64(chunks, math.Float64bits(r))
		}
	}
	for _, v := range []uint32{h.channels, h.samples, h.events, math.Float32bits(h.rate), h.typ, uint32(len(chunks))} {
		dst = o.AppendUint32(dst, v)
	}
	return append(dst, chunks...)
}

// ftEvent is an event; type and value are texts or one number.
type ftEvent struct {
	sample, offset, duration int32
	kind, value              string
}

func (e *ftEvent) label() string {
	switch {
	case e.kind == "" || e.kind == "marker":
		return e.value
	case e.value == "":
		return e.kind
	}
	return e.kind + "/" + e.value
}

func ftText(p []byte, typ, number uint32, o binary.ByteOrder) string {
	if typ == 0 {
		return strings.ToValidUTF8(string(p), "?")
	}
	var b []byte
	for i := range min(int(number), 16) {
		if i > 0 {
			b = append(b, ' ')
		}
		b = appendFloat(b, ftNumber(p[i*ftSizes[typ]:], typ, o), 64)
	}
	return string(b)
}

func ftNumber(p []byte, typ uint32, o binary.ByteOrder) float64 {
	switch typ {
	case 0, 1:
		return float64(p[0])
	case 2:
		return float64(o.Uint16(p))
	case 3:
		return float64(o.Uint32(p))
	case 4:
		return float64(o.Uint64(p))
	case 5:
		return float64(int8(p[0]))
	case 6:
		return float64(int16(o.Uint16(p)))
	case 7:
		return float64(int32(o.Uint32(p)))
	case 8:
		return float64(int64(o.Uint64(p)))
	case 9:
		return float64(math.Float32frombits(o.Uint32(p)))
	}
	return math.Float64frombits(o.Uint64(p))
}

// parseFTEvents reads events.
func parseFTEvents(p []byte, o binary.ByteOrder) (out []ftEvent, err error) {
	for len(p) > 0 {
		if len(p) < 32 {
			return nil, errors.New("fieldtrip: the message ends inside an event")
		}
		tt, tn, vt, vn, size := o.Uint32(p), o.Uint32(p[4:]), o.Uint32(p[8:]), o.Uint32(p[12:]), o.Uint32(p[28:])
		if int(tt) >= len(ftSizes) || int(vt) >= len(ftSizes) {
			return nil, fmt.Errorf("fieldtrip: an event of types %d and %d", tt, vt)
		}
		a, b := uint64(tn)*uint64(ftSizes[tt]), uint64(vn)*uint64(ftSizes[vt])
		if uint64(size) > uint64(len(p)-32) || a+b > uint64(size) {
			return nil, fmt.Errorf("fieldtrip: an event of %d bytes holds a type of %d and a value of %d", size, a, b)
		}
		body := p[32 : 32+size]
		out = append(out, ftEvent{
			sample: int32(o.Uint32(p[16:])), offset: int32(o.Uint32(p[20:])), duration: int32(o.Uint32(p[24:])),
			kind: ftText(body[:a], tt, tn, o), value: ftText(body[a:a+b], vt, vn, o),
		})
		p = p[32+size:]
	}
	return out, nil
}

func (e *ftEvent) append(dst []byte, o binary.AppendByteOrder) []byte {
	for _, v := range []uint32{0, uint32(len(e.kind)), 0, uint32(len(e.value)), uint32(e.sample), uint32(e.offset), uint32(e.duration), uint32(len(e.kind) + len(e.value))} {
		dst = o.AppendUint32(dst, v)
	}
	return append(append(dst, e.kind...), e.value...)
}

// readFT reads one message into buf (grown when it is too small).
func readFT(c io.Reader, buf []byte) (command uint16, body []byte, big bool, err error) {
	if cap(buf) < 8 {
		buf = make([]byte, 0, 1<<12)
	}
	h := buf[:8]
	if _, err := io.ReadFull(c, h); err != nil {
		return 0, buf, false, err
	}
	var o binary.ByteOrder = le
	switch {
	case le.Uint16(h) == 1:
	case be.Uint16(h) == 1:
		o, big = be, true
	default:
		return 0, buf, false, fmt.Errorf("fieldtrip: the message is of version %d, not 1", le.Uint16(h))
	}
	command = o.Uint16(h[2:])
	n := o.Uint32(h[4:])
	if n > ftMost {
		return 0, buf, big, fmt.Errorf("fieldtrip: a message of %d bytes; the limit is %d", n, ftMost)
	}
	// What is announced is only believed as it comes.
	body = buf[:0]
	for len(body) < int(n) {
		step := min(int(n)-len(body), 1<<20)
		if cap(body)-len(body) < step {
			body = append(make([]byte, 0, max(2*cap(body), len(body)+step)), body...)
		}
		part := body[len(body) : len(body)+step]
		if _, err := io.ReadFull(c, part); err != nil {
			return 0, body, big, err
		}
		body = body[:len(body)+step]
	}
	return command, body, big, nil
}

// ftMatrix is how the samples of a buffer become values.
func ftMatrix(h *ftHeader, big bool) (matrix, error) {
	m := matrix{big: big}
	switch h.typ {
	case 0, 1:
		m.typ = U8
	case 2:
		m.typ = U16
	case 3:
		m.typ = U32
	case 5:
		m.typ = I8
	case 6:
		m.typ = I16
	case 7:
		m.typ = I32
	case 9:
		m.typ = F32
	case 10:
		m.typ = F64
	default:
		return m, errors.New("fieldtrip: the buffer holds integers of 64 bits, which float64 does not hold exactly")
	}
	if !m.typ.Float() && h.resolutions != nil {
		for _, r := range h.resolutions {
			m.scales = append(m.scales, Scale{Bit: r})
		}
	}
	return m, nil
}

// hangUp closes c when done.
func hangUp(c net.Conn) {
	if c != nil {
		c.Close()
	}
}
