package recordings

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"neurostream/stream"
)

// edf is an open EDF or BDF file. It keeps one record in memory.
type edf struct {
	path        string
	file        io.ReaderAt
	closer      io.Closer
	head        *edfHeader
	stream      stream.Header
	signals     []edfScale // one per row
	perRecord   int        // columns in a record
	records     int64      // whole records that are there
	start       time.Time
	annotations []Annotation
	gaps        []Gap
	info        Info
	buf         []byte // the record called held
	held        int64  // -1 = none
}

// edfScale turns a code into a value: gain·code + offset.
type edfScale struct {
	at           int // first byte within a record
	gain, offset float64
}

// LengthError says that a file does not hold the data records its header
// announces. OpenPartial reads the Whole ones.
type LengthError struct {
	Path             string
	Offset           int64   // where the file ends (truncated) or where the announced data end (longer)
	Announced, Whole int64   // records
	Seconds          float64 // duration of a record
}

func (e *LengthError) Error() string {
	if e.Whole < e.Announced {
		return fmt.Sprintf("%s: cut off at byte %d: the header announces %d records of %v s, %d are whole (%v s); copy the file again, or read these with partial=1",
			e.Path, e.Offset, e.Announced, e.Seconds, e.Whole, float64(float64(e.Whole)*e.Seconds))
	}
	return fmt.Sprintf("%s: the header announces %d records of %v s, which end at byte %d, but %d are there: it was not updated, or is damaged; read all with partial=1",
		e.Path, e.Announced, e.Seconds, e.Offset, e.Whole)
}

func openEDF(path string, file io.ReaderAt, size int64, c io.Closer, partial bool) (Recording, error) {
	h, err := parseEDFHeader(path, file, size)
	if err != nil {
		return nil, err
	}
	whole := (size - h.headerBytes) / int64(h.recordBytes)
	rest := (size - h.headerBytes) % int64(h.recordBytes)
	r := &edf{path: path, file: file, closer: c, head: h, records: whole, held: -1}
	r.info = Info{Format: h.format(), Path: path}
	r.describe()
	if h.records != whole && h.records != -1 {
		length := &LengthError{Path: path, Offset: size, Announced: h.records, Whole: whole, Seconds: h.duration}
		if whole > h.records {
			length.Offset = h.headerBytes + h.records*int64(h.recordBytes)
		}
		if whole == 0 {
			return nil, fmt.Errorf("%s: cut off at byte %d: not one of %d records of %d bytes is whole: nothing to read; copy the file again", path, size, h.records, h.recordBytes)
		}
		if !partial {
			return nil, length
		}
		r.note("Length", fmt.Sprintf("header announces %d records, %d are whole and read", h.records, whole))
	}
	if h.records == -1 {
		r.note("Length", fmt.Sprintf("unfinished recording (-1 records announced), %d are whole and read", whole))
	}
	if rest != 0 {
		r.note("Left over", fmt.Sprintf("%d bytes after the last whole record, at byte %d", rest, size-rest))
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	if err := r.timeline(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *edf) note(name, value string) { r.info.Fields = append(r.info.Fields, [2]string{name, value}) }

func (r *edf) describe() {
	h := r.head
	r.note("Patient", h.patient)
	r.note("Recording", h.record)
	if h.startNote != "" {
		r.note("Start", h.startNote)
	}
	if h.reserved != "" && !h.plus {
		r.note("Reserved", h.reserved)
	}
	r.note("Signals", strconv.Itoa(len(h.signals)))
	r.note("Records", fmt.Sprintf("%d of %v s", r.records, h.duration))
}

// choose makes the stream of the largest set of signals that have the same rate
// (of the fastest, when two sets are equally large) and lists the others.
func (r *edf) choose() error {
	h := r.head
	size := make(map[int]int)
	samples := 0
	for i := range h.signals {
		if s := &h.signals[i]; !h.annotation(s) && s.perRecord > 0 {
			samples++
			if s.fault == nil {
				size[s.perRecord]++
			}
		}
	}
	for n, members := range size {
		if best := size[r.perRecord]; members > best || members == best && n > r.perRecord {
			r.perRecord = n
		}
	}
	r.stream = stream.Header{Name: streamName(r.path), MaxLen: 1}
	if samples == 0 && h.plus {
		r.note("Streams", "annotations only, no signal")
		return nil
	}
	if len(size) > 0 && !(h.duration > 0) {
		return fmt.Errorf("%s: byte 244: %d signals in records of %v s; their rate cannot be told: the header is damaged", r.path, len(h.signals), h.duration)
	}
	var labels, filters []string
	for i := range h.signals {
		s := &h.signals[i]
		switch {
		case h.annotation(s):
			continue
		case s.fault != nil:
			r.skip(i, strings.TrimPrefix(s.fault.Error(), r.path+": "))
			continue
		case s.perRecord != r.perRecord:
			r.skip(i, fmt.Sprintf("its rate is %.6g Hz, the stream's %.6g Hz", float64(s.perRecord)/h.duration, float64(r.perRecord)/h.duration))
			continue
		}
		gain := (s.physMax - s.physMin) / (s.digMax - s.digMin)
		offset := s.physMin - float64(gain*s.digMin)
		if math.IsInf(gain, 0) || math.IsInf(offset, 0) || gain == 0 {
			r.skip(i, "its scaling is out of range")
			continue
		}
		r.signals = append(r.signals, edfScale{at: s.offset, gain: gain, offset: offset})
		r.stream.Channels = append(r.stream.Channels, DescribeChannel(s.label, s.unit, ""))
		labels = append(labels, s.label)
		if s.prefilter != "" && (len(filters) == 0 || filters[len(filters)-1] != s.prefilter) && len(filters) < maxNotes {
			filters = append(filters, s.prefilter)
		}
	}
	if len(r.signals) == 0 {
		why := "its signals have no samples"
		if len(r.info.Skipped) > 0 {
			why = r.info.Skipped[0]
		}
		return fmt.Errorf("%s: none of %d signals can be read: %s", r.path, len(h.signals), why)
	}
	UniqueLabels(r.stream.Channels)
	r.stream.Rate = float64(r.perRecord) / h.duration
	r.stream.MaxLen = min(max(r.perRecord, 64), 1024)
	r.note("Labels as written", strings.Join(labels, " | "))
	if len(filters) > 0 {
		r.note("Prefilter", strings.Join(filters, " | "))
	}
	if err := r.stream.Validate(); err != nil {
		return fmt.Errorf("%s: %w", r.path, err)
	}
	return nil
}

func (r *edf) skip(i int, why string) {
	r.info.Skipped = append(r.info.Skipped, fmt.Sprintf("signal %d (%q): %s", i+1, r.head.signals[i].label, why))
}

// timeline reads annotations and record times and puts both on the stream's time,
// which starts at column 0.
func (r *edf) timeline() error {
	h := r.head
	r.start = h.start
	if !h.plus || r.records == 0 {
		return nil
	}
	t, err := readEDFTimeline(r.path, r.file, h, r.records)
	if err != nil {
		return err
	}
	r.annotations = t.annotations
	if t.broken > 0 {
		r.note("Annotations", fmt.Sprintf("%d could not be read, the first at byte %d", t.broken, t.brokenAt))
	}
	if len(t.onsets) == 0 {
		return nil
	}
	zero := t.onsets[0]
	if !r.start.IsZero() {
		r.start = r.start.Add(time.Duration(math.Round(zero * 1e9)))
	}
	for i := range r.annotations {
		r.annotations[i].Onset -= zero
	}
	if !h.gaps || r.perRecord == 0 {
		return nil
	}
	half := 0.5 / r.stream.Rate
	for i := 1; i < len(t.onsets); i++ {
		missing := t.onsets[i] - t.onsets[i-1] - h.duration
		switch {
		case missing < -half:
			return fmt.Errorf("%s: byte %d: record %d starts at %v s, before record %d ends (%v s): records overlap or are out of order",
				r.path, h.headerBytes+int64(i)*int64(h.recordBytes), i+1, t.onsets[i], i, t.onsets[i-1]+h.duration)
		case missing > half:
			r.gaps = append(r.gaps, Gap{Column: int64(i) * int64(r.perRecord), Seconds: missing})
		}
	}
	return nil
}

func (r *edf) Header() stream.Header     { return r.stream.Clone() }
func (r *edf) Len() int64                { return r.records * int64(r.perRecord) }
func (r *edf) Start() time.Time          { return r.start }
func (r *edf) Annotations() []Annotation { return r.annotations }
func (r *edf) Gaps() []Gap               { return r.gaps }
func (r *edf) Info() Info                { return r.info }
func (r *edf) Close() error              { return r.closer.Close() }

func (r *edf) ReadAt(dst *stream.Chunk, from int64) error {
	if from < 0 {
		return fmt.Errorf("%s: column %d asked for; columns count from 0", r.path, from)
	}
	left := r.Len() - from
	if left <= 0 {
		dst.Resize(0)
		return io.EOF
	}
	dst.Resize(int(min(left, int64(dst.Cap()))))
	for col := 0; col < dst.Len; {
		rec, first := (from+int64(col))/int64(r.perRecord), int((from+int64(col))%int64(r.perRecord))
		if err := r.load(rec); err != nil {
			dst.Resize(0)
			return err
		}
		n := min(dst.Len-col, r.perRecord-first)
		for ch := range r.signals {
			s := &r.signals[ch]
			tile, l := dst.Tile(ch / stream.Lanes)[col:col+n], ch%stream.Lanes
			if r.head.bdf {
				decode24(tile, l, r.buf[s.at+3*first:], s.gain, s.offset)
			} else {
				decode16(tile, l, r.buf[s.at+2*first:], s.gain, s.offset)
			}
		}
		col += n
	}
	return nil
}

// load makes record rec the one in memory.
func (r *edf) load(rec int64) error {
	if r.held == rec {
		return nil
	}
	if r.buf == nil {
		r.buf = make([]byte, r.head.recordBytes)
	}
	r.held = -1
	at := r.head.headerBytes + rec*int64(r.head.recordBytes)
	if n, err := r.file.ReadAt(r.buf, at); n < len(r.buf) {
		return fmt.Errorf("%s: byte %d: record %d cannot be read: %w", r.path, at, rec+1, err)
	}
	r.held = rec
	return nil
}

func decode16(tile [][stream.Lanes]float64, l int, b []byte, gain, offset float64) {
	b = b[:2*len(tile)]
	for i := range tile {
		v := int16(uint16(b[2*i]) | uint16(b[2*i+1])<<8)
		tile[i][l] = float64(gain*float64(v)) + offset
	}
}

func decode24(tile [][stream.Lanes]float64, l int, b []byte, gain, offset float64) {
	b = b[:3*len(tile)]
	for i := range tile {
		v := int32(uint32(b[3*i])<<8|uint32(b[3*i+1])<<16|uint32(b[3*i+2])<<24) >> 8
		tile[i][l] = float64(gain*float64(v)) + offset
	}
}
