package recordings

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A GDF file (Schlögl 2006, arXiv:cs/0608052; version 1 of 1998 to 2006, version 2
// after) is EDF's successor: binary header fields, any number type, and a table of
// events behind the records. Little-endian:
//
//	byte 0    version 8 ("GDF 2.10")                          byte 168  start
//	byte 184  header length (v1: bytes, int64; v2: uint16 of 256 bytes)
//	byte 236  records int64 │ seconds per record: 2 uint32 │ signals (v1 uint32, v2 uint16)
//	byte 256  for all signals: label 16 … transducer 80 … unit 8 … and so on
//	then      records, as in EDF
//	then      events: mode 1 │ number and rate 7 │ position 4 … type 2 … [channel 2 … duration 4 …]
const maxEvents = 1 << 22

// gdfCodes are the format's numbers for types of values.
var gdfCodes = map[uint32]coding{
	1: codeInt8, 2: codeUint8, 3: codeInt16, 4: codeUint16, 5: codeInt32, 6: codeUint32, 7: codeInt64, 8: codeUint64,
	16: codeFloat32, 17: codeFloat64, 255 + 24: codeInt24, 511 + 24: codeUint24,
}

// gdf is a file on its way to a recording.
type gdf struct {
	opened
	data    []byte // the header
	version float64
	size    int64
	seconds float64 // of a record
	signals []gdfSignal
}

type gdfSignal struct {
	label, unit                      string
	physMin, physMax, digMin, digMax float64
	perRecord, offset                int
	code                             coding
}

func openGDF(path string, file io.ReaderAt, size int64, c io.Closer, partial bool) (Recording, error) {
	r := &gdf{size: size}
	r.path, r.file, r.closer = path, file, c
	if size < edfFixed {
		return nil, fmt.Errorf("%s: cut off at byte %d, inside the fixed header of %d bytes: nothing to read; copy the file again", path, size, edfFixed)
	}
	r.data = make([]byte, edfFixed)
	if n, err := file.ReadAt(r.data, 0); n < len(r.data) {
		return nil, fileError(path, err)
	}
	var err error
	if r.version, err = strconv.ParseFloat(strings.TrimSpace(string(r.data[4:8])), 64); err != nil || r.version < 1 || r.version >= 3 {
		return nil, fmt.Errorf("%s: byte 4: GDF version %q; versions 1 and 2 are read", path, r.data[4:8])
	}
	r.info = Info{Format: "GDF " + strings.TrimSpace(string(r.data[4:8])), Path: path}
	r.stream.Name = streamName(path)
	count, err := r.fixed()
	if err != nil {
		return nil, err
	}
	if err := r.measure(count, partial); err != nil {
		return nil, err
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	if r.count == count {
		if err := r.events(); err != nil {
			return nil, err
		}
	}
	return &r.opened, nil
}

// fixed reads the header and returns the number of records announced.
func (r *gdf) fixed() (int64, error) {
	le := binary.LittleEndian
	count := int64(le.Uint64(r.data[236:]))
	num, den := float64(le.Uint32(r.data[244:])), float64(le.Uint32(r.data[248:]))
	signals, length := int64(le.Uint32(r.data[252:])), int64(le.Uint64(r.data[184:]))
	if r.version >= 2 {
		signals, length = int64(le.Uint16(r.data[252:])), int64(le.Uint16(r.data[184:]))*256
	}
	r.seconds = num / den
	switch {
	case signals < 1 || signals > edfMaxSignal:
		return 0, fmt.Errorf("%s: byte 252: %d signals; allowed are 1 to %d: the header is damaged", r.path, signals, edfMaxSignal)
	case length < edfFixed+signals*edfPerSignal || length > r.size:
		return 0, fmt.Errorf("%s: byte 184: the header says it is %d bytes long; %d signals need %d, and the file has %d: it is damaged or cut off",
			r.path, length, signals, edfFixed+signals*edfPerSignal, r.size)
	case !(r.seconds > 0) || math.IsInf(r.seconds, 0):
		return 0, fmt.Errorf("%s: byte 244: records of %v/%v s; the header is damaged", r.path, num, den)
	case count < -1:
		return 0, fmt.Errorf("%s: byte 236: %d records; a number from 0, or -1 for an unfinished recording: the header is damaged", r.path, count)
	}
	r.base = length
	r.note("Patient", strings.Trim(validText(string(r.data[8:74])), " \x00"))
	r.begin()
	header := make([]byte, signals*edfPerSignal)
	if n, err := r.file.ReadAt(header, edfFixed); n < len(header) {
		return 0, fileError(r.path, err)
	}
	return count, r.parse(header, int(signals))
}

// begin reads the start: version 1 as text YYYYMMDDhhmmsscc, version 2 as days since
// the year 0 in units of 2⁻³² days.
func (r *gdf) begin() {
	if r.version < 2 {
		if t, err := time.Parse("20060102150405", string(r.data[168:182])); err == nil {
			r.start = t
		}
		return
	}
	days := float64(binary.LittleEndian.Uint64(r.data[168:])) / (1 << 32)
	const epoch = 719529 // day number of 1970-01-01
	if days > epoch && days < epoch+100*366 {
		r.start = time.Unix(0, int64((days-epoch)*86400*1e9)).UTC().Round(time.Millisecond)
	}
}

// parse reads the signals' part of the header.
func (r *gdf) parse(b []byte, n int) error {
	le := binary.LittleEndian
	r.signals = make([]gdfSignal, n)
	at := 0
	field := func(width int) func(i int) []byte {
		from := at
		at += width * n
		return func(i int) []byte { return b[from+width*i : from+width*(i+1)] }
	}
	float := func(b []byte) float64 { return math.Float64frombits(le.Uint64(b)) }
	label := field(16)
	field(80)
	unit, code := field(8), (func(int) []byte)(nil)
	if r.version >= 2 {
		at -= 8 * n
		unit, code = field(6), field(2)
	}
	physMin, physMax, digMin, digMax := field(8), field(8), field(8), field(8)
	field(80)
	perRecord, kind := field(4), field(4)
	for i := range r.signals {
		s := &r.signals[i]
		text := func(b []byte) string { return strings.Trim(validText(string(b)), " \x00") }
		s.label, s.unit = text(label(i)), text(unit(i))
		s.physMin, s.physMax = float(physMin(i)), float(physMax(i))
		if r.version >= 2 {
			s.digMin, s.digMax = float(digMin(i)), float(digMax(i))
			s.unit = gdfUnit(le.Uint16(code(i)), s.unit)
		} else {
			s.digMin, s.digMax = float64(int64(le.Uint64(digMin(i)))), float64(int64(le.Uint64(digMax(i))))
		}
		s.perRecord = int(le.Uint32(perRecord(i)))
		var ok bool
		if s.code, ok = gdfCodes[le.Uint32(kind(i))]; !ok {
			return fmt.Errorf("%s: signal %d (%q) has values of type %d, which GDF does not define", r.path, i+1, s.label, le.Uint32(kind(i)))
		}
		s.offset = r.bytes
		if int64(r.bytes)+int64(s.perRecord)*int64(s.code.size()) > maxRecord {
			return fmt.Errorf("%s: records of more than %d MiB by signal %d (%q); the header is damaged", r.path, maxRecord>>20, i+1, s.label)
		}
		r.bytes += s.perRecord * s.code.size()
	}
	if r.bytes == 0 {
		return fmt.Errorf("%s: no signal has any samples per record: the header is damaged", r.path)
	}
	return nil
}

// gdfUnit spells the code of a unit: volts with their decimal prefix, and the
// format's text for what it does not cover.
func gdfUnit(code uint16, text string) string {
	const volt = 4256
	switch code {
	case volt:
		return "V"
	case volt + 18:
		return "mV"
	case volt + 19:
		return "uV"
	case volt + 20:
		return "nV"
	case 512:
		return ""
	}
	if text == "" && code != 0 {
		return fmt.Sprintf("unit %d", code)
	}
	return text
}

// measure finds the number of whole records.
func (r *gdf) measure(announced int64, partial bool) error {
	whole := (r.size - r.base) / int64(r.bytes)
	switch {
	case announced == -1:
		r.count = whole
		r.note("Length", fmt.Sprintf("unfinished recording (-1 records announced), %d are whole and read", whole))
	case announced > whole && partial && whole > 0:
		r.count = whole
		r.note("Length", fmt.Sprintf("header announces %d records, %d are whole and read", announced, whole))
	case announced > whole:
		return &LengthError{Path: r.path, Offset: r.size, Announced: announced, Whole: whole, Seconds: r.seconds}
	default:
		r.count = announced // behind them lie the events
	}
	return nil
}

// choose makes the stream of the signals that have the most common rate.
func (r *gdf) choose() error {
	size := make(map[int]int)
	for i := range r.signals {
		if n := r.signals[i].perRecord; n > 0 {
			size[n]++
		}
	}
	for n, members := range size {
		if best := size[r.perRecord]; members > best || members == best && n > r.perRecord {
			r.perRecord = n
		}
	}
	for i := range r.signals {
		s := &r.signals[i]
		gain := (s.physMax - s.physMin) / (s.digMax - s.digMin)
		offset := s.physMin - float64(gain*s.digMin)
		switch {
		case s.perRecord != r.perRecord:
			r.skip(i, s.label, fmt.Sprintf("its rate is %.6g Hz, the stream's %.6g Hz", float64(s.perRecord)/r.seconds, float64(r.perRecord)/r.seconds))
			continue
		case math.IsNaN(offset) || math.IsInf(offset, 0) || gain == 0:
			r.skip(i, s.label, fmt.Sprintf("its ranges %g to %g and %g to %g give no scale", s.physMin, s.physMax, s.digMin, s.digMax))
			continue
		}
		r.rows = append(r.rows, row{at: s.offset, code: s.code, gain: gain, offset: offset})
		r.stream.Channels = append(r.stream.Channels, DescribeChannel(s.label, s.unit, ""))
	}
	if len(r.rows) == 0 {
		return fmt.Errorf("%s: none of %d signals can be read: %s", r.path, len(r.signals), strings.Join(r.info.Skipped[:min(1, len(r.info.Skipped))], ""))
	}
	return r.finish(float64(r.perRecord) / r.seconds)
}

// events reads the table behind the records. Labels are the event codes in decimal,
// as the format's list of codes has them in hexadecimal.
func (r *gdf) events() error {
	at := r.base + r.count*int64(r.bytes)
	if r.size-at < 8 {
		return nil
	}
	head := make([]byte, 8)
	if n, err := r.file.ReadAt(head, at); n < len(head) {
		return fileError(r.path, err)
	}
	le := binary.LittleEndian
	n, rate := int64(le.Uint32(head[4:])), float64(uint32(head[1])|uint32(head[2])<<8|uint32(head[3])<<16)
	if r.version >= 1.94 {
		n, rate = int64(uint32(head[1])|uint32(head[2])<<8|uint32(head[3])<<16), float64(math.Float32frombits(le.Uint32(head[4:])))
	}
	if !(rate > 0) || math.IsInf(rate, 0) {
		rate = r.stream.Rate
	}
	width := int64(6)
	if head[0] == 3 {
		width = 12
	}
	if head[0] != 1 && head[0] != 3 || n > maxEvents || n*width > r.size-at-8 {
		r.note("Events", fmt.Sprintf("the table at byte %d is damaged: mode %d, %d events", at, head[0], n))
		return nil
	}
	b := make([]byte, n*width)
	if got, err := r.file.ReadAt(b, at+8); got < len(b) {
		return fileError(r.path, err)
	}
	for i := range n {
		position, code, duration := le.Uint32(b[4*i:]), le.Uint16(b[4*n+2*i:]), uint32(0)
		if head[0] == 3 {
			duration = le.Uint32(b[8*n+4*i:])
		}
		if position == 0 || code == 0 { // positions count from 1
			continue
		}
		r.annotations = append(r.annotations, Annotation{
			Onset: float64(position-1) / rate, Duration: float64(duration) / rate, Label: strconv.Itoa(int(code)),
		})
	}
	slices.SortStableFunc(r.annotations, byOnset)
	return nil
}
