package recordings

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"neurostream/stream"
)

// EDFOptions are the settings of WriteEDF. The zero value writes 16-bit EDF+.
type EDFOptions struct {
	Bits      int    // 16 (EDF+, the default) or 24 (BDF+)
	Patient   string // EDF+ patient field; "" = "X X X X" (unknown)
	Equipment string // put into the EDF+ recording field; "" = unknown
}

// EDFReport says what a written file differs in from its source.
type EDFReport struct {
	Format    string    // e.g. "EDF+C"
	Steps     []float64 // quantisation step of each channel in its unit; a value is off by at most half of it
	Padding   int64     // columns added to fill records: the last value repeated, marked by an annotation "padding"
	Rate      float64   // rate a reader finds, Hz; headers hold eight characters
	Replaced  int64     // samples that were no number, replaced by the last good one
	Relabeled []string  // labels that did not fit into 16 ASCII characters
}

// edfWriter is one run of WriteEDF.
type edfWriter struct {
	rec     Recording
	head    stream.Header
	o       EDFOptions
	report  EDFReport
	scales  []edfRange
	pieces  []edfPiece
	per     int    // columns per record
	seconds string // duration of a record as the header spells it
	area    int    // bytes of annotations per record
	tals    [][]byte
	start   time.Time
	frac    float64 // seconds from the header's start (whole seconds) to column 0
}

// edfRange is how a channel's values become codes.
type edfRange struct {
	unit           string
	scale          float64 // from the source's unit to the file's
	min, max       string  // physical range as the header spells it
	gain, offset   float64 // value = gain·code + offset
	low, high      float64
	integer, known bool // all values whole; any value seen
}

// edfPiece is a stretch of columns without gap: columns from…to-1, in records
// from record on.
type edfPiece struct {
	from, to int64
	record   int64
	onset    float64 // seconds since column 0
}

// WriteEDF writes a recording as EDF+ (16 bit) or BDF+ (24 bit), annotations and
// gaps included (EDF+C without, EDF+D with gaps). It reads the recording twice:
// channels whose values are all whole numbers within the range of codes are kept
// exactly, others are scaled from their minimum to their maximum.
func WriteEDF(w io.Writer, r Recording, o EDFOptions) (*EDFReport, error) {
	e := &edfWriter{rec: r, head: r.Header(), o: o}
	switch {
	case o.Bits == 0:
		e.o.Bits = 16
	case o.Bits != 16 && o.Bits != 24:
		return nil, fmt.Errorf("EDF: Bits is %d; allowed are 16 (EDF+) and 24 (BDF+)", o.Bits)
	}
	switch n := e.head.Rows(); {
	case n == 0 || n > edfMaxSignal-1:
		return nil, fmt.Errorf("EDF: %d channels; a file holds 1 to %d", n, edfMaxSignal-1)
	case !(e.head.Rate > 0):
		return nil, errors.New("EDF: the stream has no fixed rate; EDF holds regularly sampled signals only")
	case r.Len() == 0:
		return nil, errors.New("EDF: the recording has no samples")
	}
	if err := e.measure(); err != nil {
		return nil, err
	}
	if err := e.divide(); err != nil {
		return nil, err
	}
	e.annotate()
	b := bufio.NewWriterSize(w, 1<<18)
	if err := e.header(b); err != nil {
		return nil, err
	}
	if err := e.records(b); err != nil {
		return nil, err
	}
	return &e.report, b.Flush()
}

func (e *edfWriter) codes() (lo, hi float64) {
	half := float64(int64(1) << (e.o.Bits - 1))
	return -half, half - 1
}

// each reads all columns in order.
func (e *edfWriter) each(visit func(c *stream.Chunk) error) error {
	c := new(stream.Chunk)
	c.Alloc(e.head.Rows(), max(1, min(e.head.MaxLen, 4096)))
	for from := int64(0); from < e.rec.Len(); from += int64(c.Len) {
		if err := e.rec.ReadAt(c, from); err != nil {
			return err
		}
		if err := visit(c); err != nil {
			return err
		}
	}
	return nil
}

// measure finds the range of each channel and how to code it.
func (e *edfWriter) measure() error {
	e.scales = make([]edfRange, e.head.Rows())
	for i := range e.scales {
		e.scales[i] = edfRange{unit: e.head.Channels[i].Unit, scale: 1, integer: true}
		if e.scales[i].unit == "V" { // eight characters cannot spell a few microvolts in V
			e.scales[i].unit, e.scales[i].scale = "uV", 1e6
		}
	}
	err := e.each(func(c *stream.Chunk) error {
		for ch := range e.scales {
			s := &e.scales[ch]
			for _, column := range c.Tile(ch / stream.Lanes) {
				v := column[ch%stream.Lanes] * s.scale
				if math.IsNaN(v) || math.IsInf(v, 0) {
					e.report.Replaced++
					continue
				}
				if !s.known {
					s.low, s.high, s.known = v, v, true
				}
				s.low, s.high = min(s.low, v), max(s.high, v)
				s.integer = s.integer && v == math.Trunc(v)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	lo, hi := e.codes()
	for ch := range e.scales {
		s := &e.scales[ch]
		if s.integer && s.low >= lo && s.high <= hi {
			s.min, s.max = strconv.Itoa(int(lo)), strconv.Itoa(int(hi))
			s.gain, s.offset = 1, 0
		} else {
			var ok bool
			if s.min, s.max, ok = spellRange(s.low, s.high); !ok {
				return fmt.Errorf("EDF: channel %s has values from %g to %g %s, which eight characters cannot spell; convert its unit first",
					e.head.Channels[ch].Label, s.low, s.high, s.unit)
			}
			low, _ := decimal(s.min)
			high, _ := decimal(s.max)
			s.gain = (high - low) / (hi - lo)
			s.offset = low - float64(s.gain*lo)
		}
		e.report.Steps = append(e.report.Steps, s.gain/s.scale)
	}
	return nil
}

// spellRange spells a range in two fields of eight characters that include it.
func spellRange(low, high float64) (a, b string, ok bool) {
	a, ok = spellOutward(low, -1)
	if !ok {
		return "", "", false
	}
	if b, ok = spellOutward(high, 1); !ok {
		return "", "", false
	}
	if a == b {
		v, _ := decimal(a)
		if b, ok = spellOutward(v+1, 1); !ok {
			return "", "", false
		}
	}
	return a, b, true
}

// spellOutward spells v in eight characters, rounded downwards (dir -1) or upwards.
func spellOutward(v float64, dir float64) (string, bool) {
	for prec := 6; prec >= 0; prec-- {
		p := math.Pow10(prec)
		scaled := math.Floor(v * p)
		if dir > 0 {
			scaled = math.Ceil(v * p)
		}
		text := strconv.FormatFloat(scaled/p, 'f', prec, 64)
		if back, _ := decimal(text); len(text) <= 8 && (back-v)*dir >= 0 {
			return text, true
		}
	}
	return "", false
}

// divide cuts the recording into records. A record may not span a gap, and its
// duration has to be spelled in eight characters: of all numbers of columns up to a
// second's, the largest that needs no padding is taken, or else the largest whose
// padding fits into the gaps.
func (e *edfWriter) divide() error {
	total := e.rec.Len()
	from, onset := int64(0), 0.0
	for _, g := range e.rec.Gaps() {
		if g.Column <= from || g.Column >= total {
			return fmt.Errorf("EDF: the recording has a gap before column %d, which is out of order", g.Column)
		}
		e.pieces = append(e.pieces, edfPiece{from: from, to: g.Column, onset: onset})
		onset += float64(g.Column-from)/e.head.Rate + g.Seconds
		from = g.Column
	}
	e.pieces = append(e.pieces, edfPiece{from: from, to: total, onset: onset})
	most := max(1, int(e.head.Rate))
	for _, limit := range []float64{1e-9, 1e-6, 1e-3} {
		for pass := range 2 {
			for n := most; n >= 1; n-- {
				text, rate := spellDuration(n, e.head.Rate)
				if math.Abs(rate/e.head.Rate-1) > limit {
					continue
				}
				padding, fits := e.padding(n)
				if !fits || pass == 0 && (padding > 0 || n < most/20) {
					continue
				}
				e.per, e.seconds = n, text
				e.report.Padding, e.report.Rate = padding, rate
				e.number()
				return nil
			}
		}
	}
	return fmt.Errorf("EDF: a rate of %v Hz cannot be spelled in the eight characters of a header; resample first", e.head.Rate)
}

func spellDuration(n int, rate float64) (string, float64) {
	for prec := 6; prec >= 0; prec-- {
		text := strconv.FormatFloat(float64(n)/rate, 'f', prec, 64)
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		if v, ok := decimal(text); ok && len(text) <= 8 && v > 0 {
			return text, float64(n) / v
		}
	}
	return "", 0
}

// padding returns the columns that records of n columns need in addition, and
// whether those before a gap fit into it.
func (e *edfWriter) padding(n int) (padding int64, fits bool) {
	for i, p := range e.pieces {
		pad := (int64(n) - (p.to-p.from)%int64(n)) % int64(n)
		padding += pad
		if i+1 < len(e.pieces) {
			end := p.onset + float64(p.to-p.from+pad)/e.head.Rate
			if end > e.pieces[i+1].onset+1e-9 {
				return 0, false
			}
		}
	}
	return padding, true
}

func (e *edfWriter) number() {
	record := int64(0)
	for i := range e.pieces {
		p := &e.pieces[i]
		p.record = record
		record += (p.to - p.from + int64(e.per) - 1) / int64(e.per)
	}
}

// count returns the number of records.
func (e *edfWriter) count() int64 {
	p := e.pieces[len(e.pieces)-1]
	return p.record + (p.to-p.from+int64(e.per)-1)/int64(e.per)
}

// recordOnset returns when a record starts, in seconds since column 0.
func (e *edfWriter) recordOnset(record int64) float64 {
	p := e.pieces[0]
	for _, q := range e.pieces[1:] {
		if q.record > record {
			break
		}
		p = q
	}
	return p.onset + float64((record-p.record)*int64(e.per))/e.head.Rate
}

// annotate lays out the annotation signal: per record the time-keeping list and the
// annotations that begin in it, later ones where there is no room.
func (e *edfWriter) annotate() {
	e.start = e.rec.Start()
	e.frac = float64(e.start.Nanosecond()) * 1e-9
	notes := append([]Annotation(nil), e.rec.Annotations()...)
	for _, p := range e.pieces {
		if pad := (int64(e.per) - (p.to-p.from)%int64(e.per)) % int64(e.per); pad > 0 {
			a := Annotation{Onset: p.onset + float64(p.to-p.from)/e.head.Rate, Duration: float64(pad) / e.head.Rate, Label: "padding"}
			at := len(notes)
			for at > 0 && notes[at-1].Onset > a.Onset {
				at--
			}
			notes = append(notes[:at], append([]Annotation{a}, notes[at:]...)...)
		}
	}
	count := e.count()
	tals := make([][]byte, 0, len(notes))
	onsets := make([]float64, 0, len(notes))
	longest, sum := 0, 0
	for _, a := range notes {
		t := e.tal(a)
		tals, onsets = append(tals, t), append(onsets, a.Onset)
		longest, sum = max(longest, len(t)), sum+len(t)
	}
	keep := len(e.timekeeping(count-1)) + 8
	width := e.o.Bits / 8
	for area := max(keep+longest, keep+sum/int(count)+1, 30); ; area *= 2 {
		area = (area + width - 1) / width * width
		e.tals = e.tals[:0]
		next := 0
		for record := range count {
			b := e.timekeeping(record)
			end := math.Inf(1)
			if record+1 < count {
				end = e.recordOnset(record + 1)
			}
			for next < len(tals) && onsets[next] < end && len(b)+len(tals[next]) <= area {
				b = append(b, tals[next]...)
				next++
			}
			e.tals = append(e.tals, b)
		}
		if next == len(tals) {
			e.area = area
			return
		}
	}
}

func (e *edfWriter) timekeeping(record int64) []byte {
	return fmt.Appendf(nil, "%s\x14\x14\x00", signed(e.recordOnset(record)+e.frac))
}

func (e *edfWriter) tal(a Annotation) []byte {
	text := strings.Map(func(r rune) rune {
		if r < 0x20 {
			return ' '
		}
		return r
	}, a.Label)
	b := []byte(signed(a.Onset + e.frac))
	if a.Duration > 0 {
		b = append(append(b, talDuration), spellSeconds(a.Duration)...)
	}
	return append(append(append(b, talText), text...), talText, 0)
}

// signed spells a time with its sign, as TALs demand.
func signed(v float64) string {
	if s := spellSeconds(v); s[0] == '-' {
		return s
	} else {
		return "+" + s
	}
}

// spellSeconds spells seconds to the nanosecond.
func spellSeconds(v float64) string {
	s := strconv.FormatFloat(v, 'f', 9, 64)
	s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	if s == "" || s == "-0" {
		return "0"
	}
	return s
}

func (e *edfWriter) header(w *bufio.Writer) error {
	name, mark, kind := "EDF", "0", "C"
	if e.o.Bits == 24 {
		name, mark = "BDF", "\xffBIOSEMI"
	}
	if len(e.pieces) > 1 {
		kind = "D"
	}
	e.report.Format = name + "+" + kind
	put := func(width int, s string) {
		if len(s) > width {
			s = s[:width]
		}
		w.WriteString(s)
		w.WriteString(strings.Repeat(" ", width-len(s)))
	}
	patient, recording, date, clock := e.o.Patient, "Startdate X X X X", "01.01.85", "00.00.00"
	if patient == "" {
		patient = "X X X X"
	}
	if !e.start.IsZero() {
		recording = "Startdate " + strings.ToUpper(e.start.Format("02-Jan-2006")) + " X X X"
		date, clock = e.start.Format("02.01.06"), e.start.Format("15.04.05")
	}
	if e.o.Equipment != "" {
		recording = strings.TrimSuffix(recording, "X") + strings.ReplaceAll(ascii(e.o.Equipment), " ", "_")
	}
	n := e.head.Rows() + 1
	w.WriteString(fmt.Sprintf("%-8s", mark)[:8])
	put(80, ascii(patient))
	put(80, recording)
	put(8, date)
	put(8, clock)
	put(8, strconv.Itoa(edfFixed+n*edfPerSignal))
	put(44, e.report.Format)
	records := strconv.FormatInt(e.count(), 10)
	if len(records) > 8 {
		return fmt.Errorf("EDF: %s records are more than a header can say", records)
	}
	put(8, records)
	put(8, e.seconds)
	put(4, strconv.Itoa(n))
	lo, hi := e.codes()
	low, high := strconv.Itoa(int(lo)), strconv.Itoa(int(hi))
	each := func(width int, last string, get func(i int) string) {
		for i := range n - 1 {
			put(width, get(i))
		}
		put(width, last)
	}
	blank := func(int) string { return "" }
	each(16, name+" Annotations", e.label)
	each(80, "", blank)
	each(8, "", func(i int) string { return ascii(e.scales[i].unit) })
	each(8, "-1", func(i int) string { return e.scales[i].min })
	each(8, "1", func(i int) string { return e.scales[i].max })
	each(8, low, func(int) string { return low })
	each(8, high, func(int) string { return high })
	each(80, "", blank)
	each(8, strconv.Itoa(e.area/(e.o.Bits/8)), func(int) string { return strconv.Itoa(e.per) })
	each(32, "", blank)
	return nil // a bufio.Writer keeps its error for Flush
}

// label returns what to write for a channel: the label, with EDF+'s prefix for its
// type where the label alone does not tell and there is room.
func (e *edfWriter) label(i int) string {
	c := &e.head.Channels[i]
	text := ascii(c.Label)
	if len(text) > 16 || text != c.Label {
		e.report.Relabeled = append(e.report.Relabeled, c.Label)
		return text
	}
	if name, kind := CleanLabel(text); name == text && kind != c.Type && len(c.Type) == 3 && len(text) <= 12 {
		prefixed := c.Type + " " + text
		if name, kind := CleanLabel(prefixed); name == text && kind == c.Type {
			return prefixed
		}
	}
	return text
}

func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == 'µ' || r == 'μ':
			return 'u'
		case r < 0x20 || r > 0x7e:
			return '?'
		}
		return r
	}, s)
}

func (e *edfWriter) records(w *bufio.Writer) error {
	width := e.o.Bits / 8
	lo, hi := e.codes()
	rows := e.head.Rows()
	buf := make([]byte, rows*e.per*width)
	last := make([]float64, rows) // the last good code
	record, col := int64(0), 0
	piece := 0
	emit := func() {
		w.Write(buf)
		w.Write(e.tals[record])
		w.Write(make([]byte, e.area-len(e.tals[record])))
		record++
		col = 0
	}
	put := func(ch int, code float64) {
		v := int32(code)
		at := (ch*e.per + col) * width
		buf[at], buf[at+1] = byte(v), byte(v>>8)
		if width == 3 {
			buf[at+2] = byte(v >> 16)
		}
	}
	at := int64(0)
	return e.each(func(c *stream.Chunk) error {
		for i := range c.Len {
			for ch := range rows {
				s := &e.scales[ch]
				v := c.Tile(ch / stream.Lanes)[i][ch%stream.Lanes] * s.scale
				if !math.IsNaN(v) && !math.IsInf(v, 0) {
					last[ch] = min(max(math.RoundToEven((v-s.offset)/s.gain), lo), hi)
				}
				put(ch, last[ch])
			}
			col++
			at++
			for at == e.pieces[piece].to && col > 0 && col < e.per { // padding
				for ch := range rows {
					put(ch, last[ch])
				}
				col++
			}
			if col == e.per {
				emit()
			}
			if at == e.pieces[piece].to {
				piece = min(piece+1, len(e.pieces)-1)
			}
		}
		return nil
	})
}
