package recordings

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A BrainVision recording is three files: a header (.vhdr, .ahdr) and markers (.vmrk,
// .amrk), both INI-like text, and samples (.eeg), raw numbers:
//
//	MULTIPLEXED  ch1 ch2 … ch1 ch2 …      VECTORIZED  ch1 ch1 … ch2 ch2 …
const maxText = 16 << 20 // bytes of a header or marker file

// brainVisionHead is how header files begin; older ones write two words as one.
func brainVisionHead(head []byte) bool {
	s := strings.TrimPrefix(string(head), "\ufeff")
	return strings.HasPrefix(s, "Brain Vision") || strings.HasPrefix(s, "BrainVision")
}

// ini is a parsed text file: section, key, value, all in order.
type ini []iniEntry

type iniEntry struct {
	section, key, value string
	line                int
}

// parseINI reads sections up to [Comment], which is free text.
func parseINI(data []byte) ini {
	var out ini
	section := ""
	for i, line := range strings.Split(validText(string(data)), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			if section = strings.ToLower(line[1 : len(line)-1]); section == "comment" {
				return out
			}
		default:
			if key, value, ok := strings.Cut(line, "="); ok {
				out = append(out, iniEntry{section, strings.ToLower(strings.TrimSpace(key)), strings.TrimSpace(value), i + 1})
			}
		}
	}
	return out
}

func (f ini) get(section, key string) (value string, line int) {
	for _, e := range f {
		if e.section == section && e.key == key {
			return e.value, e.line
		}
	}
	return "", 0
}

// numbered returns the entries prefix1, prefix2, … of a section.
func (f ini) numbered(section, prefix string) map[int]iniEntry {
	out := make(map[int]iniEntry)
	for _, e := range f {
		if rest, ok := strings.CutPrefix(e.key, prefix); ok && e.section == section {
			if n, err := strconv.Atoi(rest); err == nil {
				out[n] = e
			}
		}
	}
	return out
}

// brainVision is a header on its way to a recording.
type brainVision struct {
	opened
	text  ini
	code  coding
	width int // bytes of a value
	extra int // columns of values that are no channel: V-Amp files have one
}

// openBrainVision opens the recording whose header file is path.
func openBrainVision(path string) (Recording, error) {
	data, err := readText(path)
	if err != nil {
		return nil, err
	}
	if !brainVisionHead(data) || !strings.Contains(string(data[:min(len(data), 200)]), "Header File") {
		return nil, fmt.Errorf("%s: is a BrainVision file but not the header; open the .vhdr (or .ahdr) file", path)
	}
	r := &brainVision{text: parseINI(data)}
	if line, _, _ := strings.Cut(string(data), "\n"); strings.Contains(line, "V-Amp") {
		r.extra = 1
	}
	r.path = path
	r.info = Info{Format: "BrainVision", Path: path}
	channels, rate, err := r.common()
	if err != nil {
		return nil, err
	}
	if err := r.channels(channels); err != nil {
		return nil, err
	}
	file, err := r.data(channels)
	if err != nil {
		return nil, err
	}
	r.file, r.closer = file, file
	err = r.finish(rate)
	if err == nil {
		err = r.markers()
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return &r.opened, nil
}

func readText(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return nil, fileError(path, err)
	}
	if len(data) > maxText {
		return nil, fmt.Errorf("%s: a text file of more than %d MiB; the header is damaged", path, maxText>>20)
	}
	return data, nil
}

func (r *brainVision) fail(line int, format string, args ...any) error {
	return fmt.Errorf("%s: line %d: %s", r.path, line, fmt.Sprintf(format, args...))
}

// common reads number of channels, rate and the format of samples.
func (r *brainVision) common() (channels int, rate float64, err error) {
	text, line := r.text.get("common infos", "numberofchannels")
	channels, err = strconv.Atoi(text)
	if err != nil || channels < 1 || channels > edfMaxSignal {
		return 0, 0, r.fail(line, "NumberOfChannels is %q; expected 1 to %d", text, edfMaxSignal)
	}
	text, line = r.text.get("common infos", "samplinginterval")
	interval, ok := decimal(text)
	if !ok || !(interval > 0) || math.IsInf(1e6/interval, 0) {
		return 0, 0, r.fail(line, "SamplingInterval is %q; expected microseconds", text)
	}
	if text, line = r.text.get("common infos", "dataformat"); !strings.EqualFold(text, "BINARY") && text != "" {
		return 0, 0, r.fail(line, "DataFormat %s is not read; export the recording as BINARY", text)
	}
	if text, line = r.text.get("common infos", "datatype"); !strings.EqualFold(text, "TIMEDOMAIN") && text != "" {
		return 0, 0, r.fail(line, "DataType %s is not read; export the recording as TIMEDOMAIN", text)
	}
	switch text, line = r.text.get("binary infos", "binaryformat"); strings.ToUpper(text) {
	case "INT_16":
		r.code = codeInt16
	case "UINT_16":
		r.code = codeUint16
	case "INT_32":
		r.code = codeInt32
	case "IEEE_FLOAT_32":
		r.code = codeFloat32
	default:
		return 0, 0, r.fail(line, "BinaryFormat is %q; expected INT_16, UINT_16, INT_32 or IEEE_FLOAT_32", text)
	}
	r.width = r.code.size()
	return channels, 1e6 / interval, nil
}

// channels reads Ch1=name,reference,resolution,unit.
func (r *brainVision) channels(n int) error {
	list := r.text.numbered("channel infos", "ch")
	for i := range n {
		e, ok := list[i+1]
		if !ok {
			return fmt.Errorf("%s: has no entry Ch%d in [Channel Infos], but %d channels", r.path, i+1, n)
		}
		part := append(strings.Split(e.value, ","), "", "", "")
		gain := 1.0
		if text := strings.TrimSpace(part[2]); text != "" {
			var ok bool
			if gain, ok = decimal(text); !ok || gain == 0 {
				return r.fail(e.line, "the resolution of Ch%d is %q; expected a number", i+1, text)
			}
		}
		unit := strings.TrimSpace(part[3])
		if unit == "" {
			unit = "uV" // as the format says
		}
		r.rows = append(r.rows, row{code: r.code, gain: gain})
		r.stream.Channels = append(r.stream.Channels, DescribeChannel(comma(part[0]), unit, ""))
	}
	return nil
}

// comma undoes the format's spelling of commas.
func comma(s string) string { return strings.ReplaceAll(s, `\1`, ",") }

// data opens the file of samples, which has to lie beside the header.
func (r *brainVision) data(channels int) (*os.File, error) {
	name, line := r.text.get("common infos", "datafile")
	if name == "" {
		return nil, r.fail(line, "no DataFile is named; add the name of the .eeg file")
	}
	path := r.beside(name)
	f, err := os.Open(path)
	if err != nil {
		if other := swapEnding(r.path, ".eeg"); errors.Is(err, os.ErrNotExist) && other != path {
			if f, err2 := os.Open(other); err2 == nil {
				r.note("Data file", fmt.Sprintf("%s is not there, %s is read", name, filepath.Base(other)))
				return f, r.lay(f, channels)
			}
		}
		return nil, fmt.Errorf("%s: the samples of %s: %w", path, filepath.Base(r.path), fileError(path, err))
	}
	if err := r.lay(f, channels); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// beside returns the path of a file named in the header. Folders in it are those of
// the machine that wrote it, so only the name counts.
func (r *brainVision) beside(name string) string {
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	stem := filepath.Base(swapEnding(r.path, ""))
	return filepath.Join(filepath.Dir(r.path), strings.ReplaceAll(name, "$b", stem))
}

// lay finds where the samples lie in the file.
func (r *brainVision) lay(f *os.File, channels int) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	column := (channels + r.extra) * r.width
	points := st.Size() / int64(column)
	if rest := st.Size() % int64(column); rest != 0 {
		r.note("Left over", fmt.Sprintf("%d bytes after the last whole column of %s", rest, f.Name()))
	}
	if points == 0 {
		return fmt.Errorf("%s: %d bytes hold not one column of %d channels; copy the file again", f.Name(), st.Size(), channels)
	}
	r.stream.Name = streamName(r.path)
	switch text, line := r.text.get("common infos", "dataorientation"); strings.ToUpper(text) {
	case "MULTIPLEXED", "":
		r.count, r.perRecord, r.bytes = points, 1, column
	case "VECTORIZED":
		if st.Size() > maxRecord {
			return fmt.Errorf("%s: %d bytes of VECTORIZED samples; the limit is %d: export as MULTIPLEXED", f.Name(), st.Size(), maxRecord)
		}
		r.count, r.perRecord, r.bytes = 1, int(points), int(points)*column
	default:
		return r.fail(line, "DataOrientation is %q; expected MULTIPLEXED or VECTORIZED", text)
	}
	for i := range r.rows {
		r.rows[i].at = i * r.width * r.perRecord
	}
	return nil
}

// markers reads the marker file, when one is named and there: Mk1=type,description,
// position,size,channel,date. Positions count from 1.
func (r *brainVision) markers() error {
	name, _ := r.text.get("common infos", "markerfile")
	if name == "" {
		return nil
	}
	data, err := readText(r.beside(name))
	if err != nil {
		r.note("Markers", err.Error())
		return nil
	}
	list := parseINI(data).numbered("marker infos", "mk")
	bad := 0
	var dated time.Time
	for _, n := range sortedKeys(list) {
		part := append(strings.Split(list[n].value, ","), "", "", "", "", "", "")
		position, ok := decimal(strings.TrimSpace(part[2]))
		size, _ := decimal(strings.TrimSpace(part[3]))
		if !ok || position < 0 {
			bad++
			continue
		}
		kind := comma(strings.TrimSpace(part[0]))
		a := Annotation{Onset: max(0, position-1) / r.stream.Rate, Label: kind + "/" + comma(strings.TrimSpace(part[1]))}
		if size > 1 { // one data point is a point in time
			a.Duration = size / r.stream.Rate
		}
		r.annotations = append(r.annotations, a)
		if kind == "New Segment" {
			dated = r.segment(max(0, int64(position)-1), strings.TrimSpace(part[5]), dated)
		}
	}
	if bad > 0 {
		r.note("Markers", fmt.Sprintf("%d have no position and are left out", bad))
	}
	slices.SortStableFunc(r.annotations, byOnset)
	return nil
}

// segment takes in the start of a segment: of the first one the recording's start,
// of others a gap, whose length the dates tell if both have one.
func (r *brainVision) segment(column int64, date string, before time.Time) time.Time {
	var t time.Time
	if len(date) == 20 && !strings.HasPrefix(date, "0000") { // YYYYMMDDhhmmss and microseconds
		t, _ = time.Parse("20060102150405.000000", date[:14]+"."+date[14:])
	}
	if column == 0 {
		r.start = t
		return t
	}
	g := Gap{Column: column}
	if !t.IsZero() && !before.IsZero() {
		from := int64(0)
		if n := len(r.gaps); n > 0 {
			from = r.gaps[n-1].Column
		}
		g.Seconds = max(0, t.Sub(before).Seconds()-float64(column-from)/r.stream.Rate)
	}
	if n := len(r.gaps); column < r.Len() && (n == 0 || r.gaps[n-1].Column < column) {
		r.gaps = append(r.gaps, g)
	}
	return t
}

func sortedKeys[V any](m map[int]V) []int {
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// byOnset orders annotations.
func byOnset(a, b Annotation) int {
	switch {
	case a.Onset < b.Onset:
		return -1
	case a.Onset > b.Onset:
		return 1
	}
	return 0
}
