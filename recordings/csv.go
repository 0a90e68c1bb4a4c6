package recordings

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"neurostream/stream"
)

// CSV files have a line of names, then a line per column of the stream:
//
//	time_s,C3 [uV],C4 [uV],marker
//	0,1.5,-2.25,
//	0.00625,1.75,-2,T1 (4.1 s)
//
// The first field is the time in seconds since column 0, gaps included; the last one
// holds the annotations that begin at the column, separated by " | ". Numbers are
// spelled so that they read back to the same bits.
const (
	csvTime   = "time_s"
	csvMarker = "marker"
	csvJoin   = " | "
)

// WriteCSV writes a recording as CSV.
func WriteCSV(w io.Writer, r Recording) error {
	h := r.Header()
	if !(h.Rate > 0) {
		return errors.New("CSV: the stream has no fixed rate")
	}
	b := bufio.NewWriterSize(w, 1<<18)
	names := csv.NewWriter(b)
	row := []string{csvTime}
	for _, c := range h.Channels {
		if c.Unit != "" {
			row = append(row, c.Label+" ["+c.Unit+"]")
		} else {
			row = append(row, c.Label)
		}
	}
	if err := names.Write(append(row, csvMarker)); err != nil {
		return err
	}
	names.Flush()
	marks := make(map[int64][]string)
	for _, a := range r.Annotations() {
		col := min(max(0, ColumnAt(r, a.Onset)), max(0, r.Len()-1))
		text := a.Label
		if a.Duration > 0 {
			text += " (" + strconv.FormatFloat(a.Duration, 'g', -1, 64) + " s)"
		}
		marks[col] = append(marks[col], text)
	}
	c := new(stream.Chunk)
	c.Alloc(h.Rows(), max(1, h.MaxLen))
	var line []byte
	gaps, lost := r.Gaps(), 0.0
	for from := int64(0); from < r.Len(); from += int64(c.Len) {
		if err := r.ReadAt(c, from); err != nil {
			return err
		}
		for i := range c.Len {
			col := from + int64(i)
			for len(gaps) > 0 && gaps[0].Column <= col {
				lost += gaps[0].Seconds
				gaps = gaps[1:]
			}
			line = strconv.AppendFloat(line[:0], float64(col)/h.Rate+lost, 'g', -1, 64)
			for ch := range h.Rows() {
				line = strconv.AppendFloat(append(line, ','), c.Tile(ch / stream.Lanes)[i][ch%stream.Lanes], 'g', -1, 64)
			}
			line = append(line, ',')
			if m := marks[col]; m != nil {
				line = append(line, '"')
				line = append(line, strings.ReplaceAll(strings.Join(m, csvJoin), `"`, `""`)...)
				line = append(line, '"')
			}
			if _, err := b.Write(append(line, '\n')); err != nil {
				return err
			}
		}
	}
	return b.Flush()
}

// maxCSV bounds a CSV file: it is held in memory.
const maxCSV = 1 << 30

// OpenCSV reads a CSV file as WriteCSV makes it, or any with a line of names and a
// column of times in seconds called time, time_s, timestamp or t. The rate is what
// the median step says; a step of more than one and a half of it is a gap. A last
// column called marker, markers, event or annotation holds annotations.
func OpenCSV(path string) (Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > maxCSV {
		return nil, fmt.Errorf("%s: %d bytes of CSV do not fit into memory; the limit is %d", path, st.Size(), maxCSV)
	}
	var in io.Reader = f
	if strings.EqualFold(filepath.Ext(path), ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("%s: starts not like gzip (%v); copy or download it again", path, err)
		}
	}
	return readCSV(path, io.LimitReader(in, maxCSV))
}

var (
	csvUnit     = regexp.MustCompile(`^(.*?)\s*\[([^\]]*)\]$`)
	csvDuration = regexp.MustCompile(`^(.*) \(([0-9.e+-]+) s\)$`)
)

func readCSV(path string, in io.Reader) (*Memory, error) {
	r := csv.NewReader(bufio.NewReaderSize(in, 1<<18))
	r.ReuseRecord = true
	fail := func(format string, args ...any) error {
		line, _ := r.FieldPos(0)
		return fmt.Errorf("%s: line %d: %s", path, line, fmt.Sprintf(format, args...))
	}
	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%s: no line of names (%v); expected e.g. %s,C3 [uV],%s", path, err, csvTime, csvMarker)
	}
	names = slices.Clone(names)
	switch strings.ToLower(strings.TrimSpace(names[0])) {
	case csvTime, "time", "timestamp", "timestamps", "t":
	default:
		return nil, fail("the first column is %q; expected %s, time, timestamp or t, in seconds", names[0], csvTime)
	}
	last := len(names)
	switch strings.ToLower(strings.TrimSpace(names[last-1])) {
	case csvMarker, "markers", "event", "annotation":
		last--
	}
	m := &Memory{Stream: stream.Header{Name: streamName(path), MaxLen: 1024}, About: Info{Format: "CSV", Path: path}}
	for _, n := range names[1:max(1, last)] {
		unit := ""
		if g := csvUnit.FindStringSubmatch(n); g != nil {
			n, unit = g[1], g[2]
		}
		m.Stream.Channels = append(m.Stream.Channels, DescribeChannel(n, unit, ""))
	}
	if len(m.Stream.Channels) == 0 || len(m.Stream.Channels) > stream.MaxChannels {
		return nil, fail("%d columns of samples; allowed are 1 to %d", len(m.Stream.Channels), stream.MaxChannels)
	}
	UniqueLabels(m.Stream.Channels)
	var times, values []float64
	type mark struct {
		col  int
		text string
	}
	var marks []mark
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %v", path, err)
		}
		t, ok := decimal(row[0])
		if !ok || len(times) > 0 && t <= times[len(times)-1] {
			return nil, fail("the time %q is no number greater than the one before", row[0])
		}
		for i, v := range row[1:last] {
			x, err := strconv.ParseFloat(v, 64)
			if err != nil {
				return nil, fail("%q in column %q is no number", v, names[i+1])
			}
			values = append(values, x)
		}
		if last < len(row) && row[last] != "" {
			for text := range strings.SplitSeq(row[last], csvJoin) {
				marks = append(marks, mark{len(times), text})
			}
		}
		times = append(times, t)
	}
	if len(times) < 2 {
		return nil, fmt.Errorf("%s: %d lines of samples; at least 2 are needed to tell the rate", path, len(times))
	}
	m.time(times)
	for _, k := range marks {
		a := Annotation{Onset: times[k.col] - times[0], Label: k.text}
		if g := csvDuration.FindStringSubmatch(k.text); g != nil {
			if d, ok := decimal(g[2]); ok {
				a.Label, a.Duration = g[1], d
			}
		}
		m.Notes = append(m.Notes, a)
	}
	m.zeroIsNothing(len(times))
	if err := m.Stream.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	m.Data = new(stream.Chunk)
	m.Data.Alloc(m.Stream.Rows(), len(times))
	m.Data.Resize(len(times))
	for i := range times {
		m.Data.SetColumn(i, values[i*m.Stream.Rows():][:m.Stream.Rows()])
	}
	return m, nil
}

// time sets rate and gaps from the times of the columns.
func (m *Memory) time(times []float64) {
	steps := make([]float64, len(times)-1)
	for i := range steps {
		steps[i] = times[i+1] - times[i]
	}
	sorted := slices.Clone(steps)
	slices.Sort(sorted)
	step := sorted[len(sorted)/2]
	// The mean over all but gaps is more exact than one step.
	sum, n := 0.0, 0
	for i, d := range steps {
		if d <= 1.5*step {
			sum += d
			n++
		} else {
			m.Breaks = append(m.Breaks, Gap{Column: int64(i + 1), Seconds: d - step})
		}
	}
	rate := float64(n) / sum
	// Times are rounded, to a millisecond at worst: a rate that is whole but for that is
	// meant whole.
	if whole := math.Round(rate); whole > 0 && math.Abs(rate-whole) < max(1e-6, min(1e-4, 2e-3/sum))*whole {
		rate = whole
	}
	m.Stream.Rate = rate
	for i := range m.Breaks {
		m.Breaks[i].Seconds += step - 1/rate
	}
}
