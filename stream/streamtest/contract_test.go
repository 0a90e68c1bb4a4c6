package streamtest

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"neurostream/stream"
)

// smooth is y ← y + (x − y)/4 on every channel. With a fault it breaks one clause of
// the contract; without, it is a small stage that keeps them all.
type smooth struct {
	fault string

	rows int
	y    []float64
	good []float64     // last finite input
	seen int64         // columns since Open
	call int           // calls of Process since Open
	kept *stream.Chunk // for a stage that keeps what it must not
}

func (s *smooth) Open(in stream.Header) (stream.Header, error) {
	if len(in.Channels) == 0 {
		if s.fault == "panics on a header" {
			_ = in.Channels[0]
		}
		return stream.Header{}, errors.New("no channels")
	}
	s.rows = in.Rows()
	s.y, s.good = make([]float64, s.rows), make([]float64, s.rows)
	s.Reset()
	switch s.fault {
	case "takes delay back":
		in.Delay /= 2
	case "two rows of one name":
		in.Channels[1].Label = in.Channels[0].Label
	case "lies about its rate":
		in.Rate *= 2
	}
	if in.Rate > 0 {
		in.Settle += 4 / in.Rate
	}
	return in, nil
}

func (s *smooth) Reset() {
	clear(s.good)
	s.kept = nil
	if s.fault != "forgets to reset" {
		clear(s.y)
		s.seen, s.call = 0, 0
	}
}

func (s *smooth) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	if src.Flags.Broken() && s.fault != "goes on after a gap" {
		clear(s.y)
		clear(s.good)
	}
	switch s.fault {
	case "allocates":
		s.y = slices.Clone(s.y)
	case "drops events":
		dst.Events = dst.Events[:0]
	case "invents events":
		if src.Len > 0 {
			dst.Events = append(dst.Events, stream.Event{Kind: stream.EventNote, Origin: "smooth"})
		}
	case "stamps the future":
		dst.T0 += 10e6
	case "counts its calls":
		s.call++
		s.y[0] += float64(s.call)
	case "is confused by empty chunks":
		if src.Len == 0 {
			clear(s.y)
		}
	case "says nothing":
		dst.Resize(0)
		return
	}
	for i := range src.Len {
		s.seen++
		for ch := range s.rows {
			s.step(dst, src, ch, i)
		}
	}
	if s.fault == "fills unused lanes" && dst.Len > 0 {
		dst.Tile(dst.Tiles() - 1)[0][stream.Lanes-1] = 1
	}
	if s.fault == "keeps its input" && src.Len > 0 {
		s.kept = src
	}
}

func (s *smooth) step(dst, src *stream.Chunk, ch, i int) {
	x := src.At(ch, i)
	switch s.fault {
	case "looks ahead":
		if i+1 < src.Len {
			x = src.At(ch, i+1)
		}
	case "averages its block":
		x = src.At(ch, 0)
	case "reads markers":
		for _, m := range src.Markers {
			if m.Column == i {
				x++
			}
		}
	case "changes its input":
		src.Set(ch, i, x+1)
	case "marks its input bad":
		src.MarkBad(ch, i)
	case "keeps its input":
		if s.kept != nil && i == 0 && s.kept.Len > 0 && s.seen > 500 {
			x += 1e-3 * s.kept.At(ch, s.kept.Len-1)
		}
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		switch s.fault {
		case "lets NaN through":
			dst.Set(ch, i, x)
			return
		case "keeps NaN":
		case "takes a jump in":
			x = 1e12
		default:
			x = s.good[ch]
			dst.MarkBad(ch, i)
		}
	} else {
		s.good[ch] = x
	}
	s.y[ch] += (x - s.y[ch]) / 4
	dst.Set(ch, i, s.y[ch])
	if s.fault == "forgets its place" && s.seen%100 == 0 {
		dst.Set(ch, i, 0)
	}
}

// saved is a smooth whose state can be saved.
type saved struct{ smooth }

func (s *saved) Snapshot(dst []byte) []byte {
	w := stream.StateWriter{Buf: dst}
	w.Floats(s.y)
	w.Floats(s.good)
	if s.fault != "forgets its place" {
		w.Int(s.seen)
	}
	return w.Buf
}

func (s *saved) Restore(state []byte) error {
	if s.fault == "restores anything" {
		if len(state) < 8*(2*s.rows+3) {
			return nil
		}
	}
	r := stream.StateReader{Buf: state}
	r.Floats(s.y)
	r.Floats(s.good)
	if s.fault != "forgets its place" {
		s.seen = r.Int()
	}
	if s.fault == "restores half" {
		clear(s.y)
	}
	return r.Err()
}

// faults lists each way of breaking the contract with the clauses that must notice.
// Where several are named, one cause shows in all of them.
var faults = []struct {
	fault   string
	clauses []string
}{
	{"", nil},
	{"looks ahead", []string{"blocks", "reset", "causal"}},
	{"averages its block", []string{"blocks", "reset"}},
	{"counts its calls", []string{"blocks", "reset"}},
	{"is confused by empty chunks", []string{"blocks"}},
	{"allocates", []string{"allocations"}},
	{"changes its input", []string{"input untouched"}},
	{"marks its input bad", []string{"input untouched"}},
	{"keeps its input", []string{"blocks"}},
	{"forgets to reset", []string{"reset"}},
	{"panics on a header", []string{"header"}},
	{"takes delay back", []string{"header"}},
	{"two rows of one name", []string{"header"}},
	{"lies about its rate", []string{"header"}},
	{"stamps the future", []string{"causal"}},
	{"says nothing", []string{"blocks", "causal"}},
	{"fills unused lanes", []string{"blocks"}},
	{"reads markers", []string{"markers ignored"}},
	{"drops events", []string{"events carried"}},
	{"invents events", []string{"events carried"}},
	{"lets NaN through", []string{"quarantine"}},
	{"keeps NaN", []string{"quarantine"}},
	{"takes a jump in", []string{"quarantine"}},
	{"goes on after a gap", []string{"gap"}},
	{"restores half", []string{"snapshot"}},
	{"restores anything", []string{"snapshot"}},
	{"forgets its place", []string{"snapshot"}},
	{"saves nothing", []string{"snapshot"}},
}

func trial(fault string) Case {
	c := Case{
		In:      stream.Header{Name: "test", Rate: 250, MaxLen: 64, Delay: 0.1},
		Columns: 1500,
		Memory:  60,
		New: func() stream.Stage {
			if fault == "saves nothing" {
				return &smooth{}
			}
			return &saved{smooth{fault: fault}}
		},
	}
	for i := range 9 {
		c.In.Channels = append(c.In.Channels, stream.Channel{Label: fmt.Sprint("ch", i+1)})
	}
	return c
}

const inside = "STREAMTEST_RUN_FAULTY_STAGES"

// TestFaultyStages is run by TestContractNoticesEveryFault in a process of its own,
// where it is meant to fail.
func TestFaultyStages(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Skip("only runs inside TestContractNoticesEveryFault")
	}
	for _, f := range faults {
		t.Run("fault "+f.fault, func(t *testing.T) { Contract(t, trial(f.fault)) })
	}
}

// TestContractNoticesEveryFault proves that the contract can fail: each faulty stage
// must fail the clauses meant for it, and the faultless one none.
func TestContractNoticesEveryFault(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestFaultyStages$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("a process full of faulty stages ends with %v", err)
	}
	if strings.Contains(string(out), "goroutine ") {
		t.Fatalf("the contract panicked:\n%s", out)
	}
	failed := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?m)^\s*--- FAIL: TestFaultyStages/fault_([^/ ]*)/([^/ ]+) `).FindAllStringSubmatch(string(out), -1) {
		fault := strings.ReplaceAll(m[1], "_", " ")
		failed[fault] = append(failed[fault], strings.ReplaceAll(m[2], "_", " "))
	}
	for _, f := range faults {
		for _, c := range f.clauses {
			if !slices.Contains(failed[f.fault], c) {
				t.Errorf("a stage that %s passes clause %q; it fails %q", f.fault, c, failed[f.fault])
			}
		}
		if f.fault == "" && len(failed[""]) > 0 {
			t.Errorf("a faultless stage fails %q:\n%s", failed[""], out)
		}
	}
	if t.Failed() {
		t.Logf("clauses failed: %q", failed)
	}
}

// TestContractOnOtherStreams: an irregular stream is fed column by column, and a stage
// without memory needs no snapshot.
func TestContractOnOtherStreams(t *testing.T) {
	c := trial("")
	c.In.Rate, c.In.MaxLen = 0, 1
	c.New = func() stream.Stage { return &saved{smooth{fault: "irregular"}} }
	Contract(t, c)
	c = trial("")
	c.New = func() stream.Stage { return negate{} }
	Contract(t, c)
}

// negate has no memory.
type negate struct{}

func (negate) Open(in stream.Header) (stream.Header, error) {
	return in, in.Validate()
}
func (negate) Reset() {}
func (negate) Process(dst, src *stream.Chunk) {
	dst.Follow(src)
	for k := range dst.Tiles() {
		for i, v := range src.Tile(k) {
			for l, x := range v {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					dst.MarkBad(k*stream.Lanes+l, i)
					x = 0
				}
				dst.Tile(k)[i][l] = 0 - x
			}
		}
	}
}

func TestEqualNamesTheDifference(t *testing.T) {
	c := trial("")
	c.Signal = Noise(&c.In, 1)
	a := c.run(t, 25, edit{})
	for want, change := range map[string]func(b *Run){
		"":                          func(*Run) {},
		"column Seq 7, row 3 (ch4)": func(b *Run) { b.Values[7][3] = math.Nextafter(b.Values[7][3], 0) },
		"column 9 (Seq 9): time":    func(b *Run) { b.T0[9] += 2000 },
		"column 8: Seq 8 against 9": func(b *Run) { b.Seq[8]++ },
		"1500 columns against 10":   func(b *Run) { b.Seq = b.Seq[:10] },
	} {
		b := c.run(t, 64, edit{})
		change(b)
		if d := Equal(a, b); !strings.HasPrefix(d, want) || (d == "") != (want == "") {
			t.Errorf("difference %q, want %q", d, want)
		}
	}
}
