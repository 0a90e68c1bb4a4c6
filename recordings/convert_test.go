package recordings

import (
	"bytes"
	"fmt"
	"math"
	"math/rand"
	"strings"
	"testing"
	"time"

	"neurostream/stream"
)

// synthetic makes a recording with gaps and annotations.
func synthetic(rate float64, columns int, units []string, gaps []Gap) *Memory {
	rng := rand.New(rand.NewSource(7))
	m := &Memory{Stream: stream.Header{Name: "made", Rate: rate, MaxLen: 100}, Began: time.Date(2026, 11, 24, 9, 30, 15, 250e6, time.UTC), Breaks: gaps}
	labels := []string{"C3", "Cz", "C4", "VEOG", "A7", "Status"}
	types := []string{TypeEEG, TypeEEG, TypeEEG, TypeEOG, TypeEEG, TypeStim}
	for i, u := range units {
		m.Stream.Channels = append(m.Stream.Channels, stream.Channel{Label: labels[i], Unit: u, Type: types[i]})
	}
	m.Data = new(stream.Chunk)
	m.Data.Alloc(len(units), columns)
	m.Data.Resize(columns)
	for ch, u := range units {
		for i := range columns {
			v := 80 * rng.NormFloat64()
			switch {
			case u == "V":
				v *= 1e-6
			case u == "": // codes
				v = float64(rng.Intn(256))
			}
			m.Data.Set(ch, i, v)
		}
	}
	for i := range 40 {
		m.Notes = append(m.Notes, Annotation{Onset: float64(i) * 0.2, Duration: float64(i%3) * 0.5, Label: fmt.Sprintf("T%d µ", i%3)})
	}
	return m
}

func TestWriteEDF(t *testing.T) {
	for _, c := range []struct {
		name    string
		rate    float64
		columns int
		gaps    []Gap
		bits    int
		format  string
		padding int64
	}{
		{"whole seconds", 160, 1600, nil, 16, "EDF+C", 0},
		{"24 bit", 160, 1600, nil, 24, "BDF+C", 0},
		{"half a record", 250, 2625, nil, 16, "EDF+C", 0},
		{"prime length", 100, 1009, nil, 16, "EDF+C", 91},
		{"odd rate", 92.93, 1009, nil, 16, "EDF+C", 3},
		{"slow", 0.1, 30, nil, 24, "BDF+C", 0},
		{"gaps", 100, 1000, []Gap{{Column: 350, Seconds: 2.5}, {Column: 777, Seconds: 0.03}}, 16, "EDF+D", -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := synthetic(c.rate, c.columns, []string{"uV", "uV", "V", "uV", "mV", ""}, c.gaps)
			var b bytes.Buffer
			report, err := WriteEDF(&b, src, EDFOptions{Bits: c.bits})
			if err != nil {
				t.Fatal(err)
			}
			if report.Format != c.format || c.padding >= 0 && report.Padding != c.padding || math.Abs(report.Rate/c.rate-1) > 1e-6 {
				t.Errorf("%s, padding %d, rate %v", report.Format, report.Padding, report.Rate)
			}
			if report.Steps[5] != 1 {
				t.Errorf("whole numbers have a step of %v", report.Steps[5])
			}
			back, err := OpenBytes("made.edf", b.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if got := back.Start(); !got.Equal(src.Began) {
				t.Errorf("start %v, want %v", got, src.Began)
			}
			h := back.Header()
			for i, want := range src.Stream.Channels {
				unit := strings.Replace(want.Unit, "V", "uV", 1)
				if want.Unit != "V" {
					unit = want.Unit
				}
				if got := h.Channels[i]; got.Label != want.Label || got.Type != want.Type || got.Unit != unit {
					t.Errorf("channel %+v, want %+v", got, want)
				}
			}
			sameData(t, back, src, report.Steps)
			sameNotes(t, back, src)
		})
	}
}

// sameData compares the columns of two recordings at the same times; values may
// differ by half a step.
func sameData(t *testing.T, got, want Recording, steps []float64) {
	t.Helper()
	a, b := readAll(t, got), readAll(t, want)
	hg, hw := got.Header(), want.Header()
	for i := range b.Len {
		col := ColumnAt(got, TimeAt(want, int64(i)))
		if col >= int64(a.Len) || math.Abs(TimeAt(got, col)-TimeAt(want, int64(i))) > 1e-3/hw.Rate+1e-6*TimeAt(want, int64(i)) {
			t.Fatalf("column %d at %v s is found as %d at %v s", i, TimeAt(want, int64(i)), col, TimeAt(got, col))
		}
		for ch := range b.Rows() {
			v := a.At(ch, int(col))
			if hw.Channels[ch].Unit == "V" && hg.Channels[ch].Unit == "uV" {
				v *= 1e-6
			}
			if d := math.Abs(v - b.At(ch, i)); d > 0.5000001*steps[ch] {
				t.Fatalf("column %d channel %d: %v, want %v (step %v)", i, ch, v, b.At(ch, i), steps[ch])
			}
		}
	}
}

func sameNotes(t *testing.T, got, want Recording) {
	t.Helper()
	var notes []Annotation
	for _, a := range got.Annotations() {
		if a.Label != "padding" {
			notes = append(notes, a)
		}
	}
	if len(notes) != len(want.Annotations()) {
		t.Fatalf("%d annotations, want %d", len(notes), len(want.Annotations()))
	}
	for i, w := range want.Annotations() {
		if a := notes[i]; math.Abs(a.Onset-w.Onset) > 2e-9 || math.Abs(a.Duration-w.Duration) > 1e-9 || a.Label != w.Label {
			t.Errorf("annotation %d: %+v, want %+v", i, a, w)
		}
	}
}

// What cannot be written is refused with one line; what is no number is replaced.
func TestWriteEDFRefuses(t *testing.T) {
	good := func() *Memory { return synthetic(100, 300, []string{"uV", "uV"}, nil) }
	for _, c := range []struct {
		want string
		o    EDFOptions
		mod  func(m *Memory)
	}{
		{"EDF: Bits is 12; allowed are 16 (EDF+) and 24 (BDF+)", EDFOptions{Bits: 12}, func(*Memory) {}},
		{"EDF: the stream has no fixed rate; EDF holds regularly sampled signals only", EDFOptions{}, func(m *Memory) { m.Stream.Rate = 0 }},
		{"EDF: the recording has no samples", EDFOptions{}, func(m *Memory) { m.Data.Resize(0) }},
		{"EDF: 0 channels; a file holds 1 to 9998", EDFOptions{}, func(m *Memory) { m.Stream.Channels = nil }},
		{"EDF: the recording has a gap before column 0, which is out of order", EDFOptions{}, func(m *Memory) { m.Breaks = []Gap{{}} }},
	} {
		m := good()
		c.mod(m)
		if _, err := WriteEDF(new(bytes.Buffer), m, c.o); err == nil || err.Error() != c.want {
			t.Errorf("error %v, want %s", err, c.want)
		}
	}
	m := good()
	m.Data.Set(0, 7, 1e12)
	if _, err := WriteEDF(new(bytes.Buffer), m, EDFOptions{}); err == nil || !strings.Contains(err.Error(), "channel C3 has values") {
		t.Errorf("error %v", err)
	}
	m = good()
	m.Data.Set(1, 7, math.NaN())
	var b bytes.Buffer
	report, err := WriteEDF(&b, m, EDFOptions{Bits: 24})
	if err != nil || report.Replaced != 1 {
		t.Fatalf("%v, %d replaced", err, report.Replaced)
	}
	back, err := OpenBytes("x", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if c := readAll(t, back); c.At(1, 7) != c.At(1, 6) {
		t.Errorf("not the last good value: %v", c.At(1, 7))
	}
}

func TestCSV(t *testing.T) {
	src := synthetic(160, 500, []string{"uV", "uV", "V"}, []Gap{{Column: 100, Seconds: 1.5}})
	src.Notes = []Annotation{{Onset: 0, Label: "T0"}, {Onset: 0.5, Duration: 4.1, Label: `T1, "left"`}, {Onset: 0.5, Label: "T2"}}
	var b bytes.Buffer
	if err := WriteCSV(&b, src); err != nil {
		t.Fatal(err)
	}
	back, err := readCSV("made.csv", &b)
	if err != nil {
		t.Fatal(err)
	}
	if h := back.Header(); h.Rate != 160 || h.Channels[2].Unit != "V" || h.Channels[0].Label != "C3" {
		t.Errorf("header %+v", h)
	}
	if len(back.Breaks) != 1 || back.Breaks[0].Column != 100 || math.Abs(back.Breaks[0].Seconds-1.5) > 1e-9 {
		t.Errorf("gaps %v", back.Breaks)
	}
	sameData(t, back, src, []float64{0, 0, 0})
	sameNotes(t, back, src)
	for text, want := range map[string]string{
		"":                           "no line of names",
		"C3,C4\n1,2\n":               `line 1: the first column is "C3"`,
		"t,C3\n0,1\n":                "1 lines of samples; at least 2",
		"t,C3\n0,1\n0,2\n":           `line 3: the time "0" is no number greater`,
		"t,C3\n0,1\n1,x\n":           `line 3: "x" in column "C3" is no number`,
		"t,C3\n0,1\n1\n":             "wrong number of fields",
		"t,marker\n0,a\n1,b\n":       "0 columns of samples",
		"time_s,C3\n0,1\nInf,1\n2,2": `line 3: the time "Inf"`,
	} {
		if _, err := readCSV("x.csv", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}
