package udp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// ErrNoRights says that this process may not capture packets.
var ErrNoRights = errors.New("capturing packets needs the right CAP_NET_RAW: run it as administrator, or allow the program once with: sudo setcap cap_net_raw+ep $(which bci)")

// ErrNoCapture says that this system cannot capture packets without further software.
var ErrNoCapture = errors.New("capturing packets is built for Linux only; elsewhere use tcpdump or Wireshark, whose files pcap: replays")

// Capture records the UDP datagrams of some ports, as they pass the network interface,
// into pcapng files: beside programs that receive them, without disturbing these. A
// filter in the kernel keeps everything else away; the stamps are the kernel's, the same
// that a receiver's socket gets.
type Capture struct {
	Path      string        // of the file; with rotation NAME-0001.pcapng and so on
	Interface string        // name or address; "" = all
	Ports     []uint16      // either end; none = all UDP
	Comment   string        // written into the file
	MaxBytes  int64         // a new file after this many; 0 = never
	MaxAge    time.Duration // a new file after this much time; 0 = never
	KeepFiles int           // of rotated files, the newest are kept; 0 = all
	Buffer    int           // bytes of socket buffer to ask for; 0 = 64 MiB
	OnReady   func()        // called once nothing is missed any more

	writer   *captureWriter
	ifaces   map[int]int // number of the interface: in the file
	begun    time.Time   // of the file
	started  time.Time
	flushed  time.Time
	files    []string
	capacity string
	counts   CaptureCounts
}

// CaptureCounts say what a capture has done.
type CaptureCounts struct {
	Frames  int64    `json:"frames"`
	Bytes   int64    `json:"bytes"`
	Dropped int64    `json:"dropped"` // by the kernel, because we were too slow
	Files   []string `json:"files"`
	Note    string   `json:"note,omitempty"`
}

// Counts returns what was captured; after Run.
func (c *Capture) Counts() CaptureCounts {
	c.counts.Files, c.counts.Note = c.files, c.capacity
	return c.counts
}

const (
	captureBuffer = 64 << 20
	flushPeriod   = 500 * time.Millisecond
)

// Run captures until ctx ends, which is no error.
func (c *Capture) Run(ctx context.Context) error { return c.run(ctx) }

// filterText describes the kernel's filter in the words of tcpdump.
func (c *Capture) filterText() string {
	if len(c.Ports) == 0 {
		return "udp"
	}
	var s []string
	for _, p := range c.Ports {
		s = append(s, fmt.Sprintf("udp port %d", p))
	}
	return strings.Join(s, " or ")
}

// name returns the path of file number n, from 1.
func (c *Capture) name(n int) string {
	if c.MaxBytes == 0 && c.MaxAge == 0 {
		return c.Path
	}
	ext := filepath.Ext(c.Path)
	return fmt.Sprintf("%s-%04d%s", strings.TrimSuffix(c.Path, ext), n, ext)
}

// put writes one frame, and begins a new file when it is time.
func (c *Capture) put(iface captureInterface, index int, at time.Time, frame []byte, length int) error {
	if c.writer != nil && (c.MaxBytes > 0 && c.writer.bytes >= c.MaxBytes || c.MaxAge > 0 && at.Sub(c.begun) >= c.MaxAge) {
		if err := c.finishFile(at); err != nil {
			return err
		}
	}
	if c.writer == nil {
		if err := c.beginFile(&iface, index, at); err != nil {
			return err
		}
	}
	n, ok := c.ifaces[index]
	if !ok {
		var err error
		if n, err = c.writer.add(&iface); err != nil {
			return err
		}
		c.ifaces[index] = n
	}
	c.counts.Frames++
	c.counts.Bytes += int64(len(frame))
	return c.writer.write(n, at, frame, length)
}

func (c *Capture) beginFile(iface *captureInterface, index int, at time.Time) error {
	path := c.name(len(c.files) + 1)
	w, err := createCapture(path, c.Comment, iface)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already and is not overwritten; choose another name", path)
	}
	if err != nil {
		return err
	}
	c.writer, c.begun, c.flushed = w, at, at
	c.ifaces = map[int]int{index: 0}
	c.files = append(c.files, path)
	if c.KeepFiles > 0 && len(c.files) > c.KeepFiles {
		old := c.files[len(c.files)-1-c.KeepFiles]
		if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (c *Capture) finishFile(at time.Time) error {
	if c.writer == nil {
		return nil
	}
	w := c.writer
	c.writer = nil
	var numbers []int
	for _, n := range c.ifaces {
		numbers = append(numbers, n)
	}
	sort.Ints(numbers)
	for _, n := range numbers {
		if err := w.stats(n, c.begun, at, uint64(c.counts.Frames), uint64(c.counts.Dropped)); err != nil {
			return err
		}
	}
	return w.close()
}

// tidy flushes now and then, so that a crash takes at most half a second.
func (c *Capture) tidy(now time.Time) error {
	if c.writer == nil || now.Sub(c.flushed) < flushPeriod {
		return nil
	}
	c.flushed = now
	return c.writer.flush()
}
