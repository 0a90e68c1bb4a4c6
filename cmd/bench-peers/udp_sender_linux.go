package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"neurostream/stream"
	"neurostream/stream/udp"
)

// The sender of the section "udp" is this program again, as a process of its own, so that
// what sending costs is not counted as receiving. It gets one JSON object per line, does
// what it says and answers with one.
const udpSender = "udp-sender"

// sending is a request.
type sending struct {
	Do       string  `json:"do"` // flood, blackrock, paced
	Port     int     `json:"port"`
	Channels int     `json:"channels,omitempty"`
	Columns  int     `json:"columns,omitempty"` // of a datagram
	Rate     float64 `json:"rate,omitempty"`    // datagrams per second
	N        int64   `json:"n,omitempty"`       // datagrams
	Seconds  float64 `json:"seconds,omitempty"` // of data
}

// sent is the answer.
type sent struct {
	Seconds float64 `json:"seconds"` // that sending took
	Error   string  `json:"error,omitempty"`
}

// udpRole serves as the sender when the process was started for that.
func udpRole() bool {
	if len(os.Args) != 2 || os.Args[1] != udpSender {
		return false
	}
	debug.SetGCPercent(-1)
	if err := serveSending(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-peers: "+udpSender+":", err)
		os.Exit(1)
	}
	return true
}

func serveSending(in io.Reader, out io.Writer) error {
	floods := map[[2]int]*flood{}
	for s := bufio.NewScanner(in); s.Scan(); {
		var r sending
		var a sent
		if err := json.Unmarshal(s.Bytes(), &r); err != nil {
			return err
		}
		err := error(nil)
		begun := time.Now()
		switch r.Do {
		case "flood":
			size := [2]int{r.Channels, r.Columns}
			if floods[size] == nil {
				if floods[size], err = newFlood(r.Channels, r.Columns); err != nil {
					break
				}
			}
			a.Seconds, err = floods[size].send(r.Port, r.Rate, r.N)
		case "blackrock":
			err = sendBlackrock(r.Port, r.Seconds)
			a.Seconds = time.Since(begun).Seconds()
		case "paced":
			err = sendPaced(r.Port, r.Channels, int(r.N))
			a.Seconds = time.Since(begun).Seconds()
		default:
			err = fmt.Errorf("there is nothing called %q to send", r.Do)
		}
		if err != nil {
			a.Error = err.Error()
		}
		if err := json.NewEncoder(out).Encode(a); err != nil {
			return err
		}
	}
	return nil
}

// startSender runs the sender.
func startSender(ctx context.Context) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &peer{name: udpSender, cmd: exec.CommandContext(ctx, self, udpSender)}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// flood is a set of native datagrams of one length, numbered anew as they are sent.
type flood struct {
	packets [][]byte
	columns int // of each
}

var crcTable = crc32.MakeTable(crc32.Castagnoli)

func newFlood(channels, columns int) (*flood, error) {
	h := signalHeader(channels, 500_000, columns)
	h.Name = "flood"
	sim, err := udp.NewSimulator("native", url.Values{"payload": {fmt.Sprint(max(64, channels*columns*4))}}, &h, 1, 0)
	if err != nil {
		return nil, err
	}
	f := &flood{columns: columns}
	for len(f.packets) < 256 {
		p, _, err := sim.Packet(nil)
		if err != nil {
			return nil, err
		}
		if binary.LittleEndian.Uint16(p[6:])&1 == 0 || len(f.packets) == 0 {
			f.packets = append(f.packets, p) // the first is the description
		}
	}
	return f, nil
}

func (f *flood) number(p []byte, n int64) {
	binary.LittleEndian.PutUint32(p[12:], uint32(n))
	binary.LittleEndian.PutUint64(p[16:], uint64(n)*uint64(f.columns))
	clear(p[40:44])
	binary.LittleEndian.PutUint32(p[40:], crc32.Checksum(p, crcTable))
}

type mmsg struct {
	header unix.Msghdr
	n      uint32
}

const sendBatch = 16

// send sends n datagrams, a multiple of sendBatch, at a rate per second, then says that
// the stream has ended. It returns how long the datagrams took.
func (f *flood) send(port int, rate float64, n int64) (seconds float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	list := f.packets[1:]
	vectors := make([]unix.Iovec, sendBatch)
	messages := make([]mmsg, sendBatch)
	if _, err := unix.Write(fd, f.packets[0]); err != nil {
		return 0, err
	}
	begun := time.Now()
	for sent := int64(0); sent < n; sent += sendBatch {
		for i := range sendBatch {
			p := list[(sent+int64(i))%int64(len(list))]
			f.number(p, sent+int64(i))
			vectors[i].Base = &p[0]
			vectors[i].SetLen(len(p))
			messages[i].header.Iov = &vectors[i]
			messages[i].header.SetIovlen(1)
		}
		due := time.Duration(float64(sent) / rate * 1e9)
		for time.Since(begun) < due { // a rate is kept by spinning: the sender has a core
		}
		for at := 0; at < sendBatch; {
			m, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[at])), uintptr(sendBatch-at), 0, 0, 0)
			if errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR {
				return 0, errno
			}
			if errno == 0 {
				at += int(m)
			}
		}
	}
	seconds = time.Since(begun).Seconds()
	end := append([]byte(nil), f.packets[0][:48]...)
	binary.LittleEndian.PutUint16(end[6:], 4)
	binary.LittleEndian.PutUint16(end[34:], 0)
	f.number(end, n)
	for range 100 { // should the buffer be full
		time.Sleep(10 * time.Millisecond)
		if _, err := unix.Write(fd, end); errors.Is(err, unix.ECONNREFUSED) {
			return seconds, nil
		} else if err != nil {
			return 0, err
		}
	}
	return seconds, nil
}

// sendBlackrock sends 256 channels of 30 kHz in real time.
func sendBlackrock(port int, seconds float64) error {
	h := signalHeader(256, 30_000, 300)
	sim, err := udp.NewSimulator("blackrock", url.Values{"group": {"5"}}, &h, 1, udp.SimulatorStart())
	if err != nil {
		return err
	}
	sim.Fill = func(c *stream.Chunk) error {
		for k := range c.Tiles() {
			for i := range c.Tile(k) {
				v := &c.Tile(k)[i]
				for l := range v {
					v[l] = float64((int(c.Seq)+i)%4000-2000) * 0.25
				}
			}
		}
		return nil
	}
	ctx := context.Background()
	conn, err := udp.Dial(ctx, fmt.Sprintf("127.0.0.1:%d", port), "")
	if err != nil {
		return err
	}
	defer conn.Close()
	player := &udp.Player{Simulator: sim, Speed: 1, For: seconds}
	return player.Play(ctx, conn)
}

// sendPaced sends n native datagrams of one column, a thousand a second, each with the
// time right before it is sent.
func sendPaced(port, channels, n int) error {
	h := signalHeader(channels, 1000, 1)
	enc, err := udp.NewEncoder("native", url.Values{})
	if err != nil {
		return err
	}
	if err := enc.Open(h); err != nil {
		return err
	}
	ctx := context.Background()
	conn, err := udp.Dial(ctx, fmt.Sprintf("127.0.0.1:%d", port), "")
	if err != nil {
		return err
	}
	defer conn.Close()
	clock := stream.Wall{}
	timer := clock.Timer(ctx)
	defer timer.Stop()
	c := stream.NewChunk(&h)
	buf, _ := enc.Preamble(nil)
	if _, err := conn.Write(buf); err != nil {
		return err
	}
	begun := clock.Now()
	for i := 0; i < n; {
		if err := timer.Wait(begun + stream.Time(i)*1e6); err != nil {
			return err
		}
		c.Clear()
		c.Resize(1)
		c.Seq = int64(i)
		for ch := range channels {
			c.Set(ch, 0, float64((i*(ch+1))%100))
		}
		c.T0 = wallClock()
		p, used := enc.Encode(buf[:0], c, 0, 1)
		if _, err := conn.Write(p); err != nil {
			return err
		}
		i += used
	}
	last := enc.Finish(nil)
	time.Sleep(20 * time.Millisecond)
	_, err = conn.Write(last)
	return err
}

// wallClock is the clock that sender and receiver share.
func wallClock() stream.Time { return stream.Time(time.Now().UnixNano()) }
