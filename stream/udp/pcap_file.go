package udp

// The one file of this package that imports gopacket, so that a fork with the same API
// is a change of these lines.
import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"neurostream/stream"
)

// captureReader reads the frames of a pcap or pcapng file, behind a guard. Gzip is not
// unpacked.
type captureReader struct {
	path  string
	file  io.Closer
	guard *guard
	ng    *pcapgo.NgReader
	old   *pcapgo.Reader
}

func openCapture(path string) (*captureReader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r, err := newCaptureReader(path, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	r.file = f
	return r, nil
}

func newCaptureReader(path string, f io.Reader) (*captureReader, error) {
	g := &guard{r: bufio.NewReaderSize(f, 1<<18), path: path}
	r := &captureReader{path: path, guard: g}
	if err := g.begin(); err != nil { // its bytes are handed out with the first Read
		return nil, err
	}
	var err error
	if g.ng {
		r.ng, err = pcapgo.NewNgReader(g, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	} else {
		r.old, err = pcapgo.NewReader(g)
	}
	if err != nil {
		return nil, r.problem(err)
	}
	return r, nil
}

// next returns the next frame, valid until the following call. A file that was cut off
// ends with io.EOF after its last whole frame.
func (r *captureReader) next() (link int, frame []byte, at stream.Time, err error) {
	var ci gopacket.CaptureInfo
	if r.ng != nil {
		if frame, ci, err = r.ng.ZeroCopyReadPacketData(); err == nil {
			var i pcapgo.NgInterface
			if i, err = r.ng.Interface(ci.InterfaceIndex); err == nil {
				link = int(i.LinkType)
			}
		}
	} else if frame, ci, err = r.old.ZeroCopyReadPacketData(); err == nil {
		link = int(r.old.LinkType())
	}
	if err != nil {
		return 0, nil, 0, r.problem(err)
	}
	return link, frame, stream.Time(ci.Timestamp.UnixNano()), nil
}

// problem gives an error of pcapgo its place.
func (r *captureReader) problem(err error) error {
	var own *CaptureError
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return io.EOF
	case errors.As(err, &own):
		return err
	}
	return &CaptureError{Path: r.path, Offset: r.guard.offset, Msg: "at or before this: " + err.Error()}
}

func (r *captureReader) close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// captureWriter writes a pcapng file: stamps of nanoseconds, interfaces with names,
// comments.
type captureWriter struct {
	file  *os.File
	out   *bufio.Writer
	ng    *pcapgo.NgWriter
	bytes int64
}

// captureInterface describes where frames were captured.
type captureInterface struct {
	name, comment, filter string
	link                  int
}

func (i *captureInterface) ng() pcapgo.NgInterface {
	return pcapgo.NgInterface{
		Name: i.name, Comment: i.comment, Filter: i.filter, OS: runtime.GOOS,
		LinkType: layers.LinkType(i.link), SnapLength: maxSnap, TimestampResolution: 9,
	}
}

// createCapture creates a file that does not exist yet.
func createCapture(path, comment string, first *captureInterface) (*captureWriter, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	w := &captureWriter{file: f, out: bufio.NewWriterSize(f, 1<<20)}
	w.ng, err = pcapgo.NewNgWriterInterface(w.out, first.ng(), pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Hardware: runtime.GOARCH, OS: runtime.GOOS, Application: "neurostream", Comment: comment,
	}})
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

// add describes a further interface and returns its number.
func (w *captureWriter) add(i *captureInterface) (int, error) { return w.ng.AddInterface(i.ng()) }

// write appends a frame; length is that on the wire.
func (w *captureWriter) write(iface int, at time.Time, frame []byte, length int) error {
	w.bytes += int64(len(frame)) + 32
	return w.ng.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(frame), Length: max(length, len(frame)), InterfaceIndex: iface}, frame)
}

// stats writes what was received and what the kernel dropped.
func (w *captureWriter) stats(iface int, from, to time.Time, received, dropped uint64) error {
	return w.ng.WriteInterfaceStats(iface, pcapgo.NgInterfaceStatistics{LastUpdate: to, StartTime: from, EndTime: to, PacketsReceived: received, PacketsDropped: dropped})
}

// flush hands everything to the system, so that a crash of ours loses nothing.
func (w *captureWriter) flush() error {
	if err := w.ng.Flush(); err != nil {
		return err
	}
	return w.out.Flush()
}

func (w *captureWriter) close() error {
	err := w.flush()
	if e := w.file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w.file.Name(), err)
	}
	return nil
}
