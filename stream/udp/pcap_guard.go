package udp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds on capture files.
const (
	maxBlock   = 4 << 20   // bytes of one block, options included
	maxSnap    = 256 << 10 // bytes of one frame: libpcap's own bound
	maxOfIface = 1024      // interfaces of a section
)

// CaptureError is a fault of a capture file.
type CaptureError struct {
	Path   string
	Offset int64 // byte of the file
	Msg    string
}

func (e *CaptureError) Error() string {
	return fmt.Sprintf("%s: byte %d: %s", e.Path, e.Offset, e.Msg)
}

// guard stands between a capture file and pcapgo, which trusts lengths: a block, an
// option or a resolution that would make it panic or allocate without bound ends here,
// with the byte it begins at. A file that was cut off ends after its last whole block;
// Cut then says so.
type guard struct {
	r       io.Reader
	path    string
	offset  int64 // of what is read next
	block   []byte
	at      int
	ng      bool
	big     bool
	started bool
	snap    uint32
	ifaces  int
	cut     bool
	err     error
}

func (g *guard) fail(offset int64, format string, args ...any) error {
	return &CaptureError{Path: g.path, Offset: offset, Msg: fmt.Sprintf(format, args...)}
}

// Read hands checked blocks out.
func (g *guard) Read(p []byte) (int, error) {
	for g.at == len(g.block) {
		if g.err != nil {
			return 0, g.err
		}
		g.block, g.at = g.block[:0], 0
		if g.err = g.next(); g.err != nil {
			g.block = g.block[:0]
			return 0, g.err
		}
	}
	n := copy(p, g.block[g.at:])
	g.at += n
	return n, nil
}

// pull appends n bytes of the file to the block. A file that ends inside is cut off.
func (g *guard) pull(n int) error {
	old := len(g.block)
	if cap(g.block) < old+n {
		grown := make([]byte, old, max(old+n, 2*cap(g.block), 4096))
		copy(grown, g.block)
		g.block = grown
	}
	g.block = g.block[:old+n]
	m, err := io.ReadFull(g.r, g.block[old:])
	g.offset += int64(m)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF) && old == 0:
		return io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
		g.cut = true
		return io.EOF
	}
	return err
}

func (g *guard) u16(b []byte) uint16 {
	if g.big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (g *guard) u32(b []byte) uint32 {
	if g.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (g *guard) put32(b []byte, v uint32) {
	if g.big {
		binary.BigEndian.PutUint32(b, v)
	} else {
		binary.LittleEndian.PutUint32(b, v)
	}
}

func (g *guard) next() error {
	if !g.started {
		return g.begin()
	}
	if g.ng {
		return g.nextBlock()
	}
	return g.nextRecord()
}

// begin reads the header of a pcap file, or finds that it is pcapng.
func (g *guard) begin() error {
	g.started = true
	if err := g.pull(4); err != nil {
		return g.fail(0, "the file is empty or shorter than a header")
	}
	switch binary.LittleEndian.Uint32(g.block) {
	case blockSection:
		g.ng = true
		return g.nextBlock()
	case 0xa1b2c3d4, 0xa1b23c4d:
	case 0xd4c3b2a1, 0x4d3cb2a1:
		g.big = true
	default:
		return g.fail(0, "this is no capture file: it begins with % x, not with a magic number of pcap or pcapng", g.block[:4])
	}
	if err := g.pull(20); err != nil {
		return g.fail(g.offset, "the file ends inside its header")
	}
	if g.u16(g.block[4:]) != 2 || g.u16(g.block[6:]) != 4 {
		return g.fail(4, "pcap version %d.%d; only 2.4 is known", g.u16(g.block[4:]), g.u16(g.block[6:]))
	}
	g.snap = g.u32(g.block[16:])
	if g.snap == 0 || g.snap > maxSnap {
		g.snap = maxSnap
		g.put32(g.block[16:], g.snap)
	}
	g.put32(g.block[20:], g.u32(g.block[20:])&0xffff) // the upper bits tell of checksums
	return nil
}

// nextRecord reads a packet of a pcap file.
func (g *guard) nextRecord() error {
	at := g.offset
	if err := g.pull(16); err != nil {
		return err
	}
	n, length := g.u32(g.block[8:]), g.u32(g.block[12:])
	if n > maxSnap || n > length {
		return g.fail(at, "a frame of %d captured bytes of %d; the limit is %d", n, length, maxSnap)
	}
	if n > g.snap {
		return g.fail(at, "a frame of %d bytes, but the file announces at most %d", n, g.snap)
	}
	return g.pull(int(n))
}

// Types of pcapng blocks.
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 2 // obsolete
	blockSimple    = 3
	blockStats     = 5
	blockEnhanced  = 6
)

// nextBlock reads a pcapng block whole and checks what pcapgo takes on trust.
func (g *guard) nextBlock() error {
	at := g.offset - int64(len(g.block))
	for len(g.block) < 8 {
		if err := g.pull(8 - len(g.block)); err != nil {
			return err
		}
	}
	kind := binary.LittleEndian.Uint32(g.block)
	if kind == blockSection {
		if err := g.pull(4); err != nil {
			return err
		}
		switch binary.BigEndian.Uint32(g.block[8:]) {
		case 0x1a2b3c4d:
			g.big = true
		case 0x4d3c2b1a:
			g.big = false
		default:
			return g.fail(at+8, "a section with the byte order mark % x", g.block[8:12])
		}
		g.ifaces = 0
	}
	kind = g.u32(g.block)
	n := int64(g.u32(g.block[4:]))
	if n%4 != 0 || n < 12 || n > maxBlock {
		return g.fail(at+4, "a block of %d bytes; it is a multiple of 4 from 12 to %d", n, maxBlock)
	}
	if int(n) < len(g.block) {
		return g.fail(at+4, "a section header of %d bytes", n)
	}
	if err := g.pull(int(n) - len(g.block)); err != nil {
		return err
	}
	if end := int64(g.u32(g.block[n-4:])); end != n {
		return g.fail(at+n-4, "a block of %d bytes ends as one of %d", n, end)
	}
	body := g.block[8 : n-4]
	short := func(want int) error {
		if len(body) < want {
			return g.fail(at, "a block of type %d with %d bytes; it has at least %d", kind, len(body), want)
		}
		return nil
	}
	switch kind {
	case blockSection:
		if err := short(16); err != nil {
			return err
		}
		return g.options(at, kind, body[16:])
	case blockInterface:
		if err := short(8); err != nil {
			return err
		}
		if g.ifaces++; g.ifaces > maxOfIface {
			return g.fail(at, "more than %d interfaces in one section", maxOfIface)
		}
		if s := g.u32(body[4:]); s == 0 || s > maxSnap {
			g.put32(body[4:], maxSnap)
		}
		return g.options(at, kind, body[8:])
	case blockStats:
		if err := short(12); err != nil {
			return err
		}
		return g.options(at, kind, body[12:])
	case blockEnhanced, blockPacket:
		if err := short(20); err != nil {
			return err
		}
		if m := int64(g.u32(body[12:])); m > int64(len(body)-20) || m > maxSnap {
			return g.fail(at+20, "a frame of %d bytes in a block with room for %d", m, len(body)-20)
		}
	case blockSimple:
		if err := short(4); err != nil {
			return err
		}
		if m := int64(g.u32(body)); m > int64(len(body)-4) { // cut by the snap length: say what is there
			g.put32(body, uint32(len(body)-4))
		}
	}
	return nil
}

// Options that pcapgo reads without looking at their length, and the length they have
// at least.
var optionLengths = map[uint32]map[uint16]int{
	blockInterface: {9: 1, 11: 1, 14: 8},
	blockStats:     {2: 8, 3: 8, 4: 8, 5: 8},
}

// options checks a list of options: code u16, length u16, value padded to four bytes.
func (g *guard) options(at int64, kind uint32, b []byte) error {
	for len(b) > 0 {
		if len(b) < 4 {
			return g.fail(at, "%d bytes are left over behind the options of a block of type %d", len(b), kind)
		}
		code, n := g.u16(b), int(g.u16(b[2:]))
		padded := (n + 3) &^ 3
		if padded > len(b)-4 {
			return g.fail(at, "option %d of %d bytes in a block with room for %d", code, n, len(b)-4)
		}
		if code == 0 {
			if n != 0 || len(b) != 4 {
				return g.fail(at, "the options of a block of type %d go on behind their end", kind)
			}
			return nil
		}
		if want := optionLengths[kind][code]; n < want {
			return g.fail(at, "option %d has %d bytes; it has at least %d", code, n, want)
		}
		if kind == blockInterface && code == 9 {
			if r := b[4]; r&0x80 != 0 && r&0x7f > 62 || r&0x80 == 0 && r > 18 {
				return g.fail(at, "a time resolution of 0x%02x cannot be used", r)
			}
		}
		b = b[4+padded:]
	}
	return nil
}
