package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"neurostream/stream"
)

// packetSocket captures frames: AF_PACKET, without cgo, in batches.
type packetSocket struct {
	file  *os.File
	raw   syscall.RawConn
	batch batch
	got   int
}

// frameSlot has room for the longest frame of the loopback interface.
const frameSlot = 66 << 10

// openPackets opens a packet socket on one interface (nil: all). It needs CAP_NET_RAW.
func openPackets(ifi *net.Interface, ports []uint16, buffer int) (*packetSocket, error) {
	const all = unix.ETH_P_ALL
	// Protocol 0 hears nothing until it is bound, so that no frame slips past the filter.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return nil, ErrNoRights
		}
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	s := &packetSocket{file: os.NewFile(uintptr(fd), "packets")}
	fail := func(what string, err error) (*packetSocket, error) {
		s.file.Close()
		return nil, fmt.Errorf("packet socket: %s: %w", what, err)
	}
	loopback := ifi != nil && ifi.Flags&net.FlagLoopback != 0
	program, err := bpf.Assemble(portFilter(ports, loopback))
	if err != nil {
		return fail("filter", err)
	}
	filter := make([]unix.SockFilter, len(program))
	for i, p := range program {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return fail("filter", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fail("stamps", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fail("auxiliary data", err)
	}
	if s.raw, err = s.file.SyscallConn(); err != nil {
		return fail("poller", err)
	}
	if s.got, err = setReceiveBuffer(s.raw, buffer); err != nil {
		return fail("buffer", err)
	}
	index := 0
	if ifi != nil {
		index = ifi.Index
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigPort(all), Ifindex: index}); err != nil {
		return fail("bind", err)
	}
	s.batch.alloc(frameSlot)
	return s, nil
}

// portFilter is the kernel's filter: UDP over IPv4 or IPv6 with one of the ports at
// either end; parts of fragmented datagrams have none and pass. Offsets count from the
// network header, so that one program fits every kind of interface. On the loopback
// interface every frame comes twice; the outgoing copy is left out.
func portFilter(ports []uint16, loopback bool) []bpf.Instruction {
	const (
		network = 0xfff00000 // SKF_NET_OFF
		keep    = "keep"
		drop    = "drop"
	)
	var p program
	if loopback {
		p.add(bpf.LoadExtension{Num: bpf.ExtType})
		p.jump(bpf.JumpEqual, unix.PACKET_OUTGOING, drop, "")
	}
	p.add(bpf.LoadExtension{Num: bpf.ExtProto})
	p.jump(bpf.JumpEqual, 0x0800, "", "six")
	p.add(bpf.LoadAbsolute{Off: network + 9, Size: 1})
	p.jump(bpf.JumpEqual, protoUDP, "", drop)
	p.add(bpf.LoadAbsolute{Off: network + 6, Size: 2})
	p.jump(bpf.JumpBitsSet, 0x1fff, keep, "")
	p.add(bpf.LoadMemShift{Off: network})
	for i := range 2 {
		p.add(bpf.LoadIndirect{Off: network + uint32(2*i), Size: 2})
		p.ports(ports, keep)
	}
	p.goTo(drop)
	p.label("six")
	p.jump(bpf.JumpEqual, 0x86dd, "", drop)
	p.add(bpf.LoadAbsolute{Off: network + 6, Size: 1})
	for _, next := range []uint32{44, 0, 43, 60} { // with extension headers: looked at later
		p.jump(bpf.JumpEqual, next, keep, "")
	}
	p.jump(bpf.JumpEqual, protoUDP, "", drop)
	for i := range 2 {
		p.add(bpf.LoadAbsolute{Off: network + 40 + uint32(2*i), Size: 2})
		p.ports(ports, keep)
	}
	p.label(drop)
	p.add(bpf.RetConstant{Val: 0})
	p.label(keep)
	p.add(bpf.RetConstant{Val: maxSnap})
	return p.link()
}

// program is a filter whose jumps have names.
type program struct {
	list   []bpf.Instruction
	jumps  map[int][2]string
	labels map[string]int
}

func (p *program) add(i bpf.Instruction) { p.list = append(p.list, i) }

func (p *program) label(name string) {
	if p.labels == nil {
		p.labels = map[string]int{}
	}
	p.labels[name] = len(p.list)
}

// jump goes to one of two labels; "" goes on.
func (p *program) jump(test bpf.JumpTest, v uint32, yes, no string) {
	if p.jumps == nil {
		p.jumps = map[int][2]string{}
	}
	p.jumps[len(p.list)] = [2]string{yes, no}
	p.add(bpf.JumpIf{Cond: test, Val: v})
}

func (p *program) goTo(name string) {
	p.jump(bpf.JumpEqual, 0, name, name)
}

// ports keeps the frame when the number loaded is one of the ports, or any when there
// are none.
func (p *program) ports(ports []uint16, keep string) {
	if len(ports) == 0 {
		p.goTo(keep)
		return
	}
	for _, port := range ports {
		p.jump(bpf.JumpEqual, uint32(port), keep, "")
	}
}

func (p *program) link() []bpf.Instruction {
	for at, names := range p.jumps {
		j := p.list[at].(bpf.JumpIf)
		for side, name := range names {
			if name == "" {
				continue
			}
			skip := uint8(p.labels[name] - at - 1)
			if side == 0 {
				j.SkipTrue = skip
			} else {
				j.SkipFalse = skip
			}
		}
		p.list[at] = j
	}
	return p.list
}

// MaxCapturePorts is how many ports one filter holds: its jumps are a byte long.
const MaxCapturePorts = 48

// frame is what a packet socket brings.
type frame struct {
	data    []byte
	length  int // on the wire
	iface   int
	link    int
	stamp   time.Time
	outside bool // sent by this computer
}

// fill waits for frames.
func (s *packetSocket) fill() error {
	for {
		if err := s.batch.take(s.raw, true); err != nil {
			return err
		}
		if s.batch.n > 0 {
			return nil
		}
	}
}

// next takes the next frame of the batch apart. A VLAN tag that the kernel has taken out
// is put back.
func (s *packetSocket) next(f *frame) bool {
	b := &s.batch
	if b.at >= b.n {
		return false
	}
	m := &b.messages[b.at]
	o := b.at * b.slot
	f.data = b.slots[o : o+int(m.n) : o+b.slot]
	f.length = int(m.n)
	a := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&b.names[b.at]))
	f.iface, f.outside = int(a.Ifindex), a.Pkttype == unix.PACKET_OUTGOING
	switch a.Hatype {
	case unix.ARPHRD_ETHER, unix.ARPHRD_LOOPBACK:
		f.link = linkEthernet
	default:
		f.link = linkRaw
	}
	f.outside = f.outside && a.Hatype == unix.ARPHRD_LOOPBACK
	c := b.controls[b.at][:min(int(m.header.Controllen), controlSize)]
	if ns, ok := kernelStamp(c); ok {
		f.stamp = time.Unix(0, ns)
	} else {
		f.stamp = time.Now()
	}
	if aux := auxOf(c); aux != nil {
		f.length = int(aux.Len)
		if aux.Status&unix.TP_STATUS_VLAN_VALID != 0 && f.link == linkEthernet && len(f.data) >= 12 && len(f.data)+4 <= b.slot {
			tpid := uint16(0x8100)
			if aux.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
				tpid = aux.Vlan_tpid
			}
			f.data = slices.Insert(f.data, 12, byte(tpid>>8), byte(tpid), byte(aux.Vlan_tci>>8), byte(aux.Vlan_tci))
			f.length += 4
		}
	}
	b.at++
	return true
}

// auxOf finds the auxiliary data of a packet socket.
func auxOf(c []byte) *unix.TpacketAuxdata {
	for len(c) >= unix.SizeofCmsghdr {
		h, body, rest := controlMessage(c)
		if h == nil {
			break
		}
		if h.Level == unix.SOL_PACKET && h.Type == unix.PACKET_AUXDATA && len(body) >= int(unsafe.Sizeof(unix.TpacketAuxdata{})) {
			return (*unix.TpacketAuxdata)(unsafe.Pointer(&body[0]))
		}
		c = rest
	}
	return nil
}

// dropped returns the frames that the kernel threw away since the last call.
func (s *packetSocket) dropped() int64 {
	n := int64(0)
	_ = control(s.raw, func(fd int) error {
		t, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
		if err == nil {
			n = int64(t.Drops)
		}
		return err
	})
	return n
}

func (s *packetSocket) close() error { return s.file.Close() }

func (c *Capture) run(ctx context.Context) error {
	if len(c.Ports) > MaxCapturePorts {
		return fmt.Errorf("%d ports are too many for one filter; the limit is %d", len(c.Ports), MaxCapturePorts)
	}
	if _, err := os.Stat(c.name(1)); err == nil {
		return fmt.Errorf("%s exists already and is not overwritten; choose another name", c.name(1))
	}
	var ifi *net.Interface
	if c.Interface != "" {
		list, err := Endpoint{Interface: c.Interface}.interfaces()
		if err != nil {
			return err
		}
		ifi = &list[0]
	}
	if c.Buffer == 0 {
		c.Buffer = captureBuffer
	}
	s, err := openPackets(ifi, c.Ports, c.Buffer)
	if err != nil {
		return err
	}
	defer s.close()
	if s.got < c.Buffer {
		c.capacity = fmt.Sprintf("the capture buffer is %.1f MB instead of %.1f MB: "+receiveBufferAdvice, float64(s.got)/(1<<20), float64(c.Buffer)/(1<<20), c.Buffer)
	}
	stop := context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	c.started = time.Now()
	if c.OnReady != nil {
		c.OnReady()
	}
	err = c.loop(ctx, s)
	c.counts.Dropped += s.dropped()
	if e := c.finishFile(time.Now()); err == nil {
		err = e
	}
	return err
}

func (c *Capture) loop(ctx context.Context, s *packetSocket) error {
	var f frame
	names := map[int]captureInterface{}
	ending := false
	var end time.Time
	for {
		if !ending {
			_ = s.file.SetReadDeadline(time.Now().Add(flushPeriod))
			if ctx.Err() != nil { // what came before the end is still in the socket buffer
				ending, end = true, time.Now()
				_ = s.file.SetReadDeadline(time.Time{})
			}
		}
		var err error
		if ending {
			if err = s.batch.take(s.raw, false); err == nil && s.batch.n == 0 || errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
		} else {
			err = s.fill()
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return fmt.Errorf("capturing: %w", err)
		}
		for s.next(&f) {
			if f.outside {
				continue
			}
			if ending && f.stamp.After(end) {
				return nil
			}
			iface, ok := names[f.iface]
			if !ok {
				iface = c.describe(f.iface, f.link)
				names[f.iface] = iface
			}
			if err := c.put(iface, f.iface, f.stamp, f.data, f.length); err != nil {
				return err
			}
		}
		c.counts.Dropped += s.dropped()
		if err := c.tidy(time.Now()); err != nil {
			return err
		}
	}
}

// describe makes the pcapng description of an interface.
func (c *Capture) describe(index, link int) captureInterface {
	d := captureInterface{name: fmt.Sprintf("interface %d", index), link: link, filter: c.filterText()}
	if i, err := net.InterfaceByIndex(index); err == nil {
		d.name = i.Name
		d.comment = strings.Join(addressesOf(i), " ")
	}
	return d
}

// watchAll listens to the UDP datagrams of every interface, when the rights allow it.
func watchAll(ctx context.Context, o *overheard) bool {
	s, err := openPackets(nil, nil, 1<<20)
	if err != nil {
		return false
	}
	stop := context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })
	o.running.Go(func() {
		defer s.close()
		defer stop()
		var d dissector
		var f frame
		var p packet
		for ctx.Err() == nil {
			if s.fill() != nil {
				return
			}
			for s.next(&f) {
				if !f.outside && d.find(f.link, f.data, stream.Time(f.stamp.UnixNano()), &p) == foundUDP {
					o.add(p.dst.Port(), p.data)
				}
			}
		}
	})
	return true
}
