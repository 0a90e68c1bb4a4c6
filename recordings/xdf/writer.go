package xdf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"neurostream/stream"
)

// WriterOptions are the settings of a Writer. The zero value is good.
type WriterOptions struct {
	FlushEvery    time.Duration // longest time a sample waits before it is in the file; 0 = 0.5 s, at most 1 s
	BoundaryEvery time.Duration // time between boundary chunks; 0 = 2 s
	Sync          bool          // also force every flush to the disk: survives a power cut, not only a crash
	Overwrite     bool          // replace an existing file; otherwise that is an error
	Created       time.Time     // wall time in the file header; zero = now
}

// maxPending bounds what is held of one stream between flushes.
const maxPending = 4 << 20

// Writer writes an XDF file that is only appended to. Samples are gathered and
// written every FlushEvery, a Samples chunk per stream, in one write: what a killed
// process loses is at most FlushEvery old. Every chunk begins with an explicit
// stamp, so that it can be understood alone.
//
// Its methods may be called from several goroutines. After the first failed write
// all of them return that error, and the file ends with its last whole chunk.
type Writer struct {
	mu      sync.Mutex
	path    string
	file    *os.File
	o       WriterOptions
	streams map[uint32]*writing
	order   []uint32
	next    uint32
	out     []byte // chunks ready to be written
	size    int64  // bytes in the file
	timer   *time.Timer
	armed   bool
	bounded time.Time // of the last boundary chunk
	err     error
	closed  bool
}

// writing is one stream of a Writer.
type writing struct {
	info    Info
	step    float64
	samples []byte // encoded, not yet in a chunk
	n       int
	last    float64 // stamp of the newest sample, as a reader will compute it
	first   float64
	count   int64
	places  int64 // told by WritePlace
	offsets []Offset
}

var errClosed = errors.New("xdf: write after Close")

// Create makes a new file and writes its header.
func Create(path string, o WriterOptions) (*Writer, error) {
	if o.FlushEvery == 0 {
		o.FlushEvery = 500 * time.Millisecond
	}
	if o.BoundaryEvery == 0 {
		o.BoundaryEvery = 2 * time.Second
	}
	if o.FlushEvery < 0 || o.FlushEvery > time.Second {
		return nil, fmt.Errorf("xdf: FlushEvery is %v; allowed are 0 (0.5 s) to 1 s", o.FlushEvery)
	}
	if o.BoundaryEvery < 0 {
		return nil, fmt.Errorf("xdf: BoundaryEvery is %v; it is a time, or 0 for 2 s", o.BoundaryEvery)
	}
	mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if o.Overwrite {
		mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(path, mode, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s: exists already; choose another name, or allow overwriting: %w", path, fs.ErrExist)
	}
	if err != nil {
		return nil, err
	}
	created := o.Created
	if created.IsZero() {
		created = time.Now()
	}
	w := &Writer{path: path, file: file, o: o, streams: make(map[uint32]*writing), next: 1, bounded: time.Now()}
	w.out = append(w.out, magic...)
	w.out = appendChunk(w.out, tagFileHeader, 0, false, fileHeader(created))
	if err := w.flush(); err != nil {
		file.Close()
		if !o.Overwrite { // it is ours
			os.Remove(path)
		}
		return nil, err
	}
	return w, nil
}

func fileHeader(created time.Time) []byte {
	return []byte(`<?xml version="1.0"?><info><version>1.0</version><datetime>` + created.Format("2006-01-02T15:04:05-0700") + `</datetime></info>`)
}

// AddStream announces a stream and returns its number in the file. Streams may be
// added at any time.
func (w *Writer) AddStream(info Info) (uint32, error) {
	if err := info.Validate(); err != nil {
		return 0, err
	}
	header, err := info.header()
	if err != nil {
		return 0, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return 0, err
	}
	id := w.next
	w.next++
	s := &writing{info: info}
	if info.Rate > 0 {
		s.step = 1 / info.Rate
	}
	w.streams[id] = s
	w.order = append(w.order, id)
	w.out = appendChunk(w.out, tagStreamHeader, id, true, header)
	return id, w.flush()
}

// Write adds samples of a numeric stream: one stamp each (seconds of the sender's
// clock) and the values sample by sample, channel by channel. Integer formats round
// to the nearest value and stop at their limits.
func (w *Writer) Write(id uint32, stamps, values []float64) error {
	return w.add(id, stamps, len(values), func(s *writing, i int) {
		ch := len(s.info.Channels)
		s.samples = s.info.Format.appendFloats(s.samples, values[i*ch:][:ch])
	}, notStrings)
}

// WriteInts is Write for integer formats, exact also for int64.
func (w *Writer) WriteInts(id uint32, stamps []float64, values []int64) error {
	return w.add(id, stamps, len(values), func(s *writing, i int) {
		ch := len(s.info.Channels)
		lo, hi := s.info.Format.limits()
		for _, v := range values[i*ch:][:ch] {
			s.samples = s.info.Format.appendInteger(s.samples, min(max(v, lo), hi))
		}
	}, onlyIntegers)
}

// WriteStrings is Write for string streams.
func (w *Writer) WriteStrings(id uint32, stamps []float64, values []string) error {
	return w.add(id, stamps, len(values), func(s *writing, i int) {
		ch := len(s.info.Channels)
		for _, v := range values[i*ch:][:ch] {
			s.samples = append(appendVarlen(s.samples, len(v)), v...)
		}
	}, onlyStrings)
}

// WriteChunk adds the columns of a chunk to a numeric stream. stamps holds one per
// column; nil stands for the chunk's own time on the engine's timeline, in seconds.
func (w *Writer) WriteChunk(id uint32, c *stream.Chunk, stamps []float64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.stream(id, c.Len, c.Len*c.Rows(), notStrings)
	if err != nil {
		return err
	}
	if stamps != nil && len(stamps) != c.Len {
		return fmt.Errorf("xdf: %d stamps for %d columns", len(stamps), c.Len)
	}
	for i := range c.Len {
		t := c.T0.Seconds() + float64(float64(i)*s.step)
		if stamps != nil {
			t = stamps[i]
		}
		if err := w.begin(s, t); err != nil {
			return err
		}
		for k := range c.Tiles() {
			lanes := min(stream.Lanes, c.Rows()-k*stream.Lanes)
			s.samples = s.info.Format.appendFloats(s.samples, c.Tile(k)[i][:lanes])
		}
	}
	return w.arm()
}

func notStrings(f Format) bool   { return f != String }
func onlyStrings(f Format) bool  { return f == String }
func onlyIntegers(f Format) bool { return f != String && f != Float32 && f != Double64 }

// stream returns the stream that is written to, after all checks.
func (w *Writer) stream(id uint32, samples, values int, fits func(Format) bool) (*writing, error) {
	if err := w.usable(); err != nil {
		return nil, err
	}
	s := w.streams[id]
	switch {
	case s == nil:
		return nil, fmt.Errorf("xdf: no stream %d in %s", id, w.path)
	case !fits(s.info.Format):
		return nil, fmt.Errorf("xdf: stream %q has %v values; use the Write method for these", s.info.Name, s.info.Format)
	case values != samples*len(s.info.Channels):
		return nil, fmt.Errorf("xdf: %d values for %d samples of %d channels of stream %q", values, samples, len(s.info.Channels), s.info.Name)
	}
	return s, nil
}

func (w *Writer) add(id uint32, stamps []float64, values int, put func(s *writing, i int), fits func(Format) bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, err := w.stream(id, len(stamps), values, fits)
	if err != nil {
		return err
	}
	for i, t := range stamps {
		if err := w.begin(s, t); err != nil {
			return err
		}
		put(s, i)
	}
	return w.arm()
}

// begin writes the stamp of a sample: none when a reader finds it by adding the
// sampling interval to the one before, to the last bit.
func (w *Writer) begin(s *writing, t float64) error {
	if !plausible(t) {
		return fmt.Errorf("xdf: a sample of stream %q has the stamp %v", s.info.Name, t)
	}
	if len(s.samples) >= maxPending {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if s.n > 0 && s.last+s.step == t {
		s.samples = append(s.samples, 0)
	} else {
		s.samples = binary.LittleEndian.AppendUint64(append(s.samples, 8), math.Float64bits(t))
	}
	if s.count == 0 {
		s.first = t
	}
	s.last = t
	s.n++
	s.count++
	return nil
}

// chunks turns all that is pending into chunks, strings first: however much of a write
// survives, what is said about samples (see WritePlace) is there when they are.
func (w *Writer) chunks() {
	for _, strings := range [...]bool{true, false} {
		for _, id := range w.order {
			if s := w.streams[id]; (s.info.Format == String) == strings {
				w.chunk(id, s)
			}
		}
	}
}

// chunk turns what is pending of a stream into a chunk.
func (w *Writer) chunk(id uint32, s *writing) {
	if s.n == 0 {
		return
	}
	w.out = appendVarlen(w.out, 2+4+5+len(s.samples))
	w.out = binary.LittleEndian.AppendUint16(w.out, tagSamples)
	w.out = binary.LittleEndian.AppendUint32(w.out, id)
	w.out = binary.LittleEndian.AppendUint32(append(w.out, 4), uint32(s.n))
	w.out = append(w.out, s.samples...)
	s.samples, s.n = s.samples[:0], 0
}

// ClockOffset adds a measurement of clocks: value is what to add to the sender's
// stamps around time (of the sender's clock) to get the recorder's.
func (w *Writer) ClockOffset(id uint32, o Offset) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	s := w.streams[id]
	if s == nil {
		return fmt.Errorf("xdf: no stream %d in %s", id, w.path)
	}
	if !plausible(o.Time) || !plausible(o.Value) {
		return fmt.Errorf("xdf: clock offset %+v of stream %q is no measurement", o, s.info.Name)
	}
	s.offsets = append(s.offsets, o)
	var content [16]byte
	binary.LittleEndian.PutUint64(content[:], math.Float64bits(o.Time))
	binary.LittleEndian.PutUint64(content[8:], math.Float64bits(o.Value))
	w.out = appendChunk(w.out, tagClockOffset, id, true, content[:])
	return w.arm()
}

// arm sees to it that what is pending is written within FlushEvery.
func (w *Writer) arm() error {
	if len(w.out) >= maxPending {
		return w.flush()
	}
	switch {
	case w.armed:
	case w.timer == nil:
		w.armed = true
		w.timer = time.AfterFunc(w.o.FlushEvery, func() { _ = w.Flush() }) // the error stays in w.err
	default:
		w.armed = true
		w.timer.Reset(w.o.FlushEvery)
	}
	return nil
}

// Boundary writes what is pending and a boundary chunk. It is written by time as
// well; converters, which are faster than time, call it.
func (w *Writer) Boundary() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	w.chunks()
	w.out = appendChunk(w.out, tagBoundary, 0, false, boundary[:])
	w.bounded = time.Now()
	return w.flush()
}

// Flush writes everything that is pending.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.usable(); err != nil {
		return err
	}
	return w.flush()
}

func (w *Writer) usable() error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return errClosed
	}
	return nil
}

func (w *Writer) flush() error {
	w.armed = false
	w.chunks()
	if now := time.Now(); now.Sub(w.bounded) >= w.o.BoundaryEvery {
		w.out = appendChunk(w.out, tagBoundary, 0, false, boundary[:])
		w.bounded = now
	}
	if len(w.out) == 0 {
		return nil
	}
	_, err := w.file.Write(w.out)
	if err == nil && w.o.Sync {
		err = w.file.Sync()
	}
	if err != nil {
		w.err = fmt.Errorf("%s: recording stopped after %d bytes: %w", w.path, w.size, err)
		_ = w.file.Truncate(w.size) // leave no half chunk; readers cope when this fails too
		return w.err
	}
	w.size += int64(len(w.out))
	w.out = w.out[:0]
	return nil
}

// Size returns the bytes written so far, without what is pending.
func (w *Writer) Size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.size
}

// Close writes what is pending, the footers, and closes the file.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.err
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.err == nil {
		w.chunks()
		w.out = appendChunk(w.out, tagBoundary, 0, false, boundary[:])
		for _, id := range w.order {
			s := w.streams[id]
			w.out = appendChunk(w.out, tagStreamFooter, id, true, footer(s.first, s.last, s.count, s.offsets))
		}
		_ = w.flush() // the error stays in w.err
	}
	w.closed = true
	if err := w.file.Close(); err != nil && w.err == nil {
		w.err = err
	}
	return w.err
}

// footer returns the XML of a footer.
func footer(first, last float64, count int64, offsets []Offset) []byte {
	var b bytes.Buffer
	num := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	b.WriteString(`<?xml version="1.0"?><info>`)
	if count > 0 {
		b.WriteString("<first_timestamp>" + num(first) + "</first_timestamp><last_timestamp>" + num(last) + "</last_timestamp>")
	}
	b.WriteString("<sample_count>" + strconv.FormatInt(count, 10) + "</sample_count><clock_offsets>")
	for _, o := range offsets {
		b.WriteString("<offset><time>" + num(o.Time) + "</time><value>" + num(o.Value) + "</value></offset>")
	}
	b.WriteString("</clock_offsets></info>")
	return b.Bytes()
}

// Channels returns the channels of a stream header for AddStream.
func Channels(h *stream.Header) []Channel {
	out := make([]Channel, len(h.Channels))
	for i, c := range h.Channels {
		out[i] = Channel{Label: c.Label, Unit: spellUnit(c.Unit), Type: c.Type}
	}
	return out
}

// spellUnit writes a unit as XDF files do.
func spellUnit(unit string) string {
	if prefix, ok := strings.CutSuffix(unit, "V"); ok {
		switch prefix {
		case "u":
			return "microvolts"
		case "m":
			return "millivolts"
		case "":
			return "volts"
		}
	}
	return unit
}
