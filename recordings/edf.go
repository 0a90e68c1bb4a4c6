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

// edf is an open EDF or BDF file.
type edf struct {
	opened
	head *edfHeader
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
	r := &edf{head: h, opened: opened{
		records: records{path: path, file: file, base: h.headerBytes, bytes: h.recordBytes, count: whole},
		closer:  c,
		info:    Info{Format: h.format(), Path: path},
	}}
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
	r.note("Records", fmt.Sprintf("%d of %v s", r.count, h.duration))
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
	code := codeInt16
	if h.bdf {
		code = codeInt24
	}
	for i := range h.signals {
		s := &h.signals[i]
		switch {
		case h.annotation(s):
			continue
		case s.fault != nil:
			r.skip(i, s.label, strings.TrimPrefix(s.fault.Error(), r.path+": "))
			continue
		case s.perRecord != r.perRecord:
			r.skip(i, s.label, fmt.Sprintf("its rate is %.6g Hz, the stream's %.6g Hz", float64(s.perRecord)/h.duration, float64(r.perRecord)/h.duration))
			continue
		}
		gain := (s.physMax - s.physMin) / (s.digMax - s.digMin)
		offset := s.physMin - float64(gain*s.digMin)
		if math.IsInf(gain, 0) || math.IsInf(offset, 0) || gain == 0 {
			r.skip(i, s.label, "its scaling is out of range")
			continue
		}
		r.rows = append(r.rows, row{at: s.offset, code: code, gain: gain, offset: offset})
		r.stream.Channels = append(r.stream.Channels, DescribeChannel(s.label, s.unit, ""))
		labels = append(labels, s.label)
		if s.prefilter != "" && (len(filters) == 0 || filters[len(filters)-1] != s.prefilter) && len(filters) < maxNotes {
			filters = append(filters, s.prefilter)
		}
	}
	if len(r.rows) == 0 {
		why := "its signals have no samples"
		if len(r.info.Skipped) > 0 {
			why = r.info.Skipped[0]
		}
		return fmt.Errorf("%s: none of %d signals can be read: %s", r.path, len(h.signals), why)
	}
	r.note("Labels as written", strings.Join(labels, " | "))
	if len(filters) > 0 {
		r.note("Prefilter", strings.Join(filters, " | "))
	}
	return r.finish(float64(r.perRecord) / h.duration)
}

// timeline reads annotations and record times and puts both on the stream's time,
// which starts at column 0.
func (r *edf) timeline() error {
	h := r.head
	r.start = h.start
	if h.bdf && !h.plus {
		return r.readStatus()
	}
	if !h.plus || r.count == 0 {
		return nil
	}
	t, err := readEDFTimeline(r.path, r.file, h, r.count)
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
