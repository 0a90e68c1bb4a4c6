package recordings

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// An EDF file (Kemp et al. 1992; EDF+ 2003; BDF is the same with 24-bit samples):
//
//	byte 0    version 8 │ patient 80 │ recording 80 │ date 8 │ time 8 │ header bytes 8
//	byte 192  reserved 44 ("EDF+C", "EDF+D") │ records 8 │ seconds per record 8 │ signals 4
//	byte 256  for all signals: label 16 … then transducer 80 … unit 8 … physical minimum 8 …
//	          physical maximum 8 … digital minimum 8 … digital maximum 8 … prefilter 80 …
//	          samples per record 8 … reserved 32 …
//	then      records: for each signal its samples, little-endian int16 (BDF: int24)
const (
	edfFixed     = 256
	edfPerSignal = 256
	edfMaxSignal = 9999
)

// edfSignal is one signal's part of the header.
type edfSignal struct {
	label, transducer, unit, prefilter string
	physMin, physMax, digMin, digMax   float64
	perRecord                          int   // samples in a record
	offset                             int   // first byte within a record
	fault                              error // why it cannot be scaled; nil when it can
}

// edfHeader is a parsed header. It promises: at least one signal, all sizes
// positive, recordBytes within limits.
type edfHeader struct {
	bdf, plus, gaps   bool // 24 bit; EDF+ or BDF+; EDF+D or BDF+D
	patient, record   string
	start             time.Time
	startNote         string
	reserved          string
	records           int64 // as announced; -1 when the recording was not closed
	duration          float64
	signals           []edfSignal
	headerBytes       int64
	recordBytes, wide int // wide: bytes per sample
}

// parseEDFHeader reads and checks the header of a file of size bytes.
func parseEDFHeader(path string, r io.ReaderAt, size int64) (*edfHeader, error) {
	if size < edfFixed {
		return nil, fmt.Errorf("%s: cut off at byte %d, inside the fixed header of %d bytes: nothing to read; copy the file again", path, size, edfFixed)
	}
	fixed := make([]byte, edfFixed)
	if _, err := r.ReadAt(fixed, 0); err != nil && err != io.EOF {
		return nil, fileError(path, err)
	}
	h := &edfHeader{bdf: fixed[0] == 0xff, wide: 2}
	if h.bdf {
		h.wide = 3
	}
	f := edfFields{path: path, data: fixed}
	f.pos = 8
	h.patient = f.text(80)
	h.record = f.text(80)
	date, clock := f.text(8), f.text(8)
	h.start, h.startNote = edfStart(date, clock, h.record)
	declared := f.integer(8, "header size")
	h.reserved = f.text(44)
	records := f.integer(8, "number of records")
	duration := f.number(8, "seconds per record")
	n := f.integer(4, "number of signals")
	if f.err != nil {
		return nil, f.err
	}
	kind := h.reserved
	if len(kind) > 5 {
		kind = kind[:5]
	}
	switch kind {
	case "EDF+C", "BDF+C":
		h.plus = true
	case "EDF+D", "BDF+D":
		h.plus, h.gaps = true, true
	}
	h.records, h.duration = records, duration
	switch {
	case n < 1 || n > edfMaxSignal:
		return nil, fmt.Errorf("%s: byte 252: %d signals; allowed are 1 to %d: the header is damaged", path, n, edfMaxSignal)
	case records < -1:
		return nil, fmt.Errorf("%s: byte 236: %d records; a number from 0, or -1 for an unfinished recording: the header is damaged", path, records)
	case duration < 0:
		return nil, fmt.Errorf("%s: byte 244: records of %v s; a duration is not negative: the header is damaged", path, duration)
	}
	h.headerBytes = edfFixed + n*edfPerSignal
	if declared != h.headerBytes {
		return nil, fmt.Errorf("%s: byte 184: the header says it is %d bytes long, but %d signals make %d: it is damaged or not EDF", path, declared, n, h.headerBytes)
	}
	if size < h.headerBytes {
		return nil, fmt.Errorf("%s: cut off at byte %d, inside the header of %d bytes (%d signals): nothing to read; copy the file again", path, size, h.headerBytes, n)
	}
	if err := h.parseSignals(path, r, int(n)); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *edfHeader) parseSignals(path string, r io.ReaderAt, n int) error {
	data := make([]byte, n*edfPerSignal)
	if _, err := r.ReadAt(data, edfFixed); err != nil && err != io.EOF {
		return fileError(path, err)
	}
	f := edfFields{path: path, data: data, base: edfFixed}
	h.signals = make([]edfSignal, n)
	each := func(fill func(s *edfSignal)) {
		for i := range h.signals {
			fill(&h.signals[i])
		}
	}
	// Scaling that makes no sense costs only its own signal; sizes cost the file.
	scale := func(dst *float64, s *edfSignal, what string) {
		g := edfFields{path: path, data: data, base: edfFixed, pos: f.pos}
		*dst = g.number(8, what)
		f.pos = g.pos
		if g.err != nil && s.fault == nil {
			s.fault = g.err
		}
	}
	each(func(s *edfSignal) { s.label = f.text(16) })
	each(func(s *edfSignal) { s.transducer = f.text(80) })
	each(func(s *edfSignal) { s.unit = f.text(8) })
	each(func(s *edfSignal) { scale(&s.physMin, s, "physical minimum") })
	each(func(s *edfSignal) { scale(&s.physMax, s, "physical maximum") })
	each(func(s *edfSignal) { scale(&s.digMin, s, "digital minimum") })
	each(func(s *edfSignal) { scale(&s.digMax, s, "digital maximum") })
	each(func(s *edfSignal) { s.prefilter = f.text(80) })
	total := int64(0)
	for i := range h.signals {
		s, at := &h.signals[i], f.base+int64(f.pos)
		v := f.integer(8, "samples per record")
		if f.err != nil {
			return f.err
		}
		if v < 0 {
			return fmt.Errorf("%s: byte %d: %d samples per record in signal %d (%q); a number from 0: the header is damaged", path, at, v, i+1, s.label)
		}
		s.offset, s.perRecord = int(total), int(v)
		if total += v * int64(h.wide); total > maxRecord {
			return fmt.Errorf("%s: byte %d: records of more than %d MiB by signal %d (%q); the header is damaged", path, at, maxRecord>>20, i+1, s.label)
		}
		switch {
		case s.fault != nil:
		case s.digMin == s.digMax:
			s.fault = fmt.Errorf("its digital minimum equals its maximum (%v), so its unit cannot be told", s.digMin)
		case s.physMin == s.physMax:
			s.fault = fmt.Errorf("its physical minimum equals its maximum (%v), so all samples would be equal", s.physMin)
		}
	}
	if total == 0 {
		return fmt.Errorf("%s: no signal has any samples per record: the header is damaged", path)
	}
	h.recordBytes = int(total)
	return nil
}

// annotation reports whether the signal holds annotations, not samples.
func (h *edfHeader) annotation(s *edfSignal) bool {
	return h.plus && (s.label == "EDF Annotations" || s.label == "BDF Annotations")
}

// format names the kind of file, e.g. "EDF+C".
func (h *edfHeader) format() string {
	name := FormatEDF
	if h.bdf {
		name = FormatBDF
	}
	switch {
	case h.gaps:
		return name + "+D"
	case h.plus:
		return name + "+C"
	}
	return name
}

// edfFields walks over fixed-width ASCII fields and keeps the first error.
type edfFields struct {
	path string
	data []byte
	base int64 // file offset of data[0]
	pos  int
	err  error
}

func (f *edfFields) raw(width int) string {
	s := string(f.data[f.pos : f.pos+width])
	f.pos += width
	return strings.Trim(s, " \x00")
}

// text returns a field as valid UTF-8; bytes that are not are read as Latin-1.
func (f *edfFields) text(width int) string { return validText(f.raw(width)) }

func (f *edfFields) fail(at int64, what, got, want string) {
	if f.err == nil {
		f.err = fmt.Errorf("%s: byte %d: %s is %q; expected %s: the header is damaged or not EDF", f.path, at, what, got, want)
	}
}

func (f *edfFields) integer(width int, what string) int64 {
	at := f.base + int64(f.pos)
	s := f.raw(width)
	v, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, 64)
	if err != nil {
		f.fail(at, what, s, "a whole number")
	}
	return v
}

func (f *edfFields) number(width int, what string) float64 {
	at := f.base + int64(f.pos)
	s := f.raw(width)
	v, ok := decimal(s)
	if !ok {
		f.fail(at, what, s, "a number")
	}
	return v
}

// decimal parses a decimal number as headers spell it; a comma may stand for the
// point. Infinity, NaN and hexadecimal are refused.
func decimal(s string) (float64, bool) {
	for i := range len(s) {
		if !strings.ContainsRune("0123456789+-.,eE", rune(s[i])) {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(strings.Replace(s, ",", ".", 1), 64)
	return v, err == nil && !math.IsInf(v, 0)
}

func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out := make([]rune, 0, len(s))
	for i := range len(s) {
		out = append(out, rune(s[i]))
	}
	return string(out)
}

// edfStart reads the start. EDF's two-digit years run from 1985 to 2084; EDF+
// repeats the date with four digits in the recording field. No zone is stored:
// the local time of the recording is given as if it were UTC.
func edfStart(date, clock, recording string) (time.Time, string) {
	t, err := time.Parse("02.01.06 15.04.05", date+" "+clock)
	if err != nil {
		return time.Time{}, fmt.Sprintf("start %q %q is not dd.mm.yy hh.mm.ss: unknown", date, clock)
	}
	year := t.Year() % 100
	if year >= 85 {
		year += 1900
	} else {
		year += 2000
	}
	if f := strings.Fields(recording); len(f) >= 2 && f[0] == "Startdate" {
		if f[1] == "X" {
			return time.Time{}, "start unknown (Startdate X)"
		}
		if d, err := time.Parse("02-Jan-2006", f[1]); err == nil && d.Month() == t.Month() && d.Day() == t.Day() {
			year = d.Year()
		}
	}
	return time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC), ""
}
