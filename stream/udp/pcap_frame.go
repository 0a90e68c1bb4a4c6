package udp

import (
	"encoding/binary"
	"net/netip"

	"neurostream/stream"
)

// Link types of captures (tcpdump.org/linktypes.html) that a frame is found in.
const (
	linkNull     = 0   // BSD loopback: u32 protocol family in the byte order of the host
	linkEthernet = 1   // also Wi-Fi as most systems hand it over
	linkRawBSD   = 12  // IP without anything before it
	linkRaw      = 101 // the same
	linkLoop     = 108 // OpenBSD loopback: u32 protocol family, big-endian
	linkCooked   = 113 // Linux "any", 16 bytes
	linkIPv4     = 228
	linkIPv6     = 229
	linkCooked2  = 276 // Linux "any", 20 bytes
)

// found says what a frame turned out to be.
type found uint8

const (
	foundUDP       found = iota // a whole datagram
	foundFragment               // a part of one; the rest is to come
	foundTCP                    // a segment
	foundOther                  // neither
	foundTruncated              // cut off by the capture's snap length
	foundMalformed              // lengths that contradict each other
)

// packet is a datagram as it stood on the wire. Data points into the frame, or into
// the memory of its fragments, and is valid until the next call.
type packet struct {
	data     []byte
	src, dst netip.AddrPort
}

// dissector finds the UDP datagram in a frame, through VLAN tags, IPv4 options, IPv6
// extension headers and fragments. Every length is checked; checksums are not, because
// a capture on the sender sees packets before its network card fills them in.
//
//	Ethernet   dst[6] src[6] {8100|88a8 tag[2]}* type[2]
//	IPv4       4|ihl tos len[2] id[2] flags+offset[2] ttl proto sum[2] src[4] dst[4] options
//	IPv6       6.. flow len[2] next hops src[16] dst[16] {extension: next len ..}*
//	UDP        src[2] dst[2] len[2] sum[2] data
type dissector struct {
	fragments fragments
}

// find takes one frame apart.
func (d *dissector) find(link int, frame []byte, at stream.Time, p *packet) found {
	b := frame
	ether := 0
	switch link {
	case linkEthernet:
		if len(b) < 14 {
			return foundTruncated
		}
		ether, b = int(binary.BigEndian.Uint16(b[12:])), b[14:]
		for tags := 0; ether == 0x8100 || ether == 0x88a8 || ether == 0x9100; tags++ {
			if len(b) < 4 {
				return foundTruncated
			}
			if tags == 4 {
				return foundMalformed
			}
			ether, b = int(binary.BigEndian.Uint16(b[2:])), b[4:]
		}
	case linkCooked:
		if len(b) < 16 {
			return foundTruncated
		}
		ether, b = int(binary.BigEndian.Uint16(b[14:])), b[16:]
	case linkCooked2:
		if len(b) < 20 {
			return foundTruncated
		}
		ether, b = int(binary.BigEndian.Uint16(b)), b[20:]
	case linkNull, linkLoop:
		if len(b) < 4 {
			return foundTruncated
		}
		b = b[4:]
	case linkRaw, linkRawBSD, linkIPv4, linkIPv6:
	default:
		return foundOther
	}
	if ether == 0 { // the version is in the packet
		if len(b) == 0 {
			return foundTruncated
		}
		switch b[0] >> 4 {
		case 4:
			ether = 0x0800
		case 6:
			ether = 0x86dd
		}
	}
	switch ether {
	case 0x0800:
		return d.ipv4(b, at, p)
	case 0x86dd:
		return d.ipv6(b, at, p)
	}
	return foundOther
}

const (
	protoTCP = 6
	protoUDP = 17
)

func (d *dissector) ipv4(b []byte, at stream.Time, p *packet) found {
	if len(b) < 20 {
		return foundTruncated
	}
	head, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 != 4 || head < 20 {
		return foundMalformed
	}
	if total == 0 { // left to the network card (segmentation offload)
		total = len(b)
	}
	if total < head {
		return foundMalformed
	}
	cut := total > len(b)
	b = b[:min(total, len(b))]
	if len(b) < head {
		return foundTruncated
	}
	proto := b[9]
	src, dst := netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	flags := int(binary.BigEndian.Uint16(b[6:]))
	body := b[head:]
	if more, offset := flags&0x2000 != 0, flags&0x1fff*8; more || offset > 0 {
		if proto != protoUDP {
			return foundOther
		}
		if cut {
			return foundTruncated
		}
		k := fragmentKey{src: src, dst: dst, id: uint32(binary.BigEndian.Uint16(b[4:]))}
		whole, f := d.fragments.add(k, body, offset, more, at)
		if whole == nil {
			return f
		}
		body = whole
	}
	return transport(proto, body, cut, src, dst, p)
}

func (d *dissector) ipv6(b []byte, at stream.Time, p *packet) found {
	if len(b) < 40 {
		return foundTruncated
	}
	if b[0]>>4 != 6 {
		return foundMalformed
	}
	src, dst := netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	next, total := b[6], int(binary.BigEndian.Uint16(b[4:]))
	b = b[40:]
	if total == 0 {
		total = len(b)
	}
	cut := total > len(b)
	b = b[:min(total, len(b))]
	for range 8 {
		switch next {
		case 0, 43, 60, 51: // hop by hop, routing, destination, authentication
			if len(b) < 8 {
				return foundTruncated
			}
			n := 8 + int(b[1])*8
			if next == 51 {
				n = 8 + int(b[1])*4
			}
			if n > len(b) {
				if cut {
					return foundTruncated
				}
				return foundMalformed
			}
			next, b = b[0], b[n:]
		case 44: // fragment
			if len(b) < 8 || cut {
				return foundTruncated
			}
			flags := int(binary.BigEndian.Uint16(b[2:]))
			offset, more := flags&0xfff8, flags&1 != 0
			proto, id := b[0], binary.BigEndian.Uint32(b[4:])
			b = b[8:]
			if more || offset > 0 {
				if proto != protoUDP {
					return foundOther
				}
				whole, f := d.fragments.add(fragmentKey{src: src, dst: dst, id: id}, b, offset, more, at)
				if whole == nil {
					return f
				}
				b = whole
			}
			next = proto
		default:
			return transport(next, b, cut, src, dst, p)
		}
	}
	return foundMalformed
}

func transport(proto byte, b []byte, cut bool, src, dst netip.Addr, p *packet) found {
	if proto != protoUDP && proto != protoTCP {
		return foundOther
	}
	if len(b) < 8 {
		return foundTruncated
	}
	p.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(b))
	p.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(b[2:]))
	p.data = nil
	if proto == protoTCP {
		return foundTCP
	}
	n := int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case n < 8:
		return foundMalformed
	case n > len(b) && cut:
		return foundTruncated
	case n > len(b):
		return foundMalformed
	}
	p.data = b[8:n:n]
	return foundUDP
}
