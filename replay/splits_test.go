package replay

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// windowsOf draws successive windows in one or several runs.
func windowsOf(t *rapid.T) (spans []Span, length int64) {
	length = rapid.Int64Range(1, 50).Draw(t, "length")
	step := rapid.Int64Range(1, 30).Draw(t, "step")
	for run := range rapid.IntRange(1, 4).Draw(t, "runs") {
		for i := range rapid.Int64Range(3, 40).Draw(t, "windows") {
			spans = append(spans, Span{run, i * step, i*step + length})
		}
	}
	return spans, length
}

// shared counts common columns one by one.
func shared(spans []Span, s Split, memory int64) int64 {
	type place struct {
		run int
		col int64
	}
	train := map[place]bool{}
	for _, i := range s.Train {
		for c := spans[i].From - memory; c < spans[i].To; c++ {
			train[place{spans[i].Run, c}] = true
		}
	}
	both := map[place]bool{}
	for _, i := range s.Test {
		for c := spans[i].From - memory; c < spans[i].To; c++ {
			if train[place{spans[i].Run, c}] {
				both[place{spans[i].Run, c}] = true
			}
		}
	}
	return int64(len(both))
}

func TestSharedColumnsAgainstCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans, _ := windowsOf(t)
		var s Split
		for i := range spans {
			if rapid.Bool().Draw(t, "train") {
				s.Train = append(s.Train, i)
			} else {
				s.Test = append(s.Test, i)
			}
		}
		memory := rapid.Int64Range(0, 40).Draw(t, "memory")
		want := shared(spans, s, memory)
		if got := SharedColumns(spans, s, memory); got != want {
			t.Fatalf("%d shared columns, counted %d", got, want)
		}
		if err := CheckSplit(spans, s, memory); (err != nil) != (want > 0) {
			t.Fatalf("%d shared columns, CheckSplit says %v", want, err)
		}
	})
}

func TestSplitsShareNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spans, _ := windowsOf(t)
		memory := rapid.Int64Range(0, 40).Draw(t, "memory")
		var splits []Split
		folds, err := PurgedFolds(spans, rapid.IntRange(2, 5).Draw(t, "folds"), memory, memory)
		if err == nil {
			splits = append(splits, folds...)
			var tested []int
			for _, f := range folds {
				tested = append(tested, f.Test...)
			}
			if len(tested) != len(spans) || !slices.IsSorted(tested) {
				t.Fatalf("folds test %v of %d examples", tested, len(spans))
			}
		}
		if s, err := Chronological(spans, rapid.Float64Range(0.05, 0.95).Draw(t, "fraction"), memory); err == nil {
			splits = append(splits, s)
			for _, i := range s.Train {
				for _, j := range s.Test {
					if i >= j {
						t.Fatalf("example %d is trained on and comes after %d, which is tested", i, j)
					}
				}
			}
		}
		splits = append(splits, LeaveRunOut(spans)...)
		for _, s := range splits {
			if n := shared(spans, s, memory); n != 0 {
				t.Fatalf("%d columns are shared by %v", n, s)
			}
			for _, i := range s.Train {
				if slices.Contains(s.Test, i) {
					t.Fatalf("example %d is in both", i)
				}
			}
		}
	})
}

func TestLeaveRunOut(t *testing.T) {
	spans := []Span{{12, 0, 10}, {4, 0, 10}, {12, 5, 15}, {8, 0, 10}}
	got := LeaveRunOut(spans)
	want := []Split{{[]int{0, 2, 3}, []int{1}}, {[]int{0, 1, 2}, []int{3}}, {[]int{1, 3}, []int{0, 2}}}
	for i := range want {
		if !slices.Equal(got[i].Train, want[i].Train) || !slices.Equal(got[i].Test, want[i].Test) {
			t.Errorf("split %d: %v, want %v", i, got[i], want[i])
		}
	}
}

func TestSplitsRefuse(t *testing.T) {
	spans := []Span{{0, 0, 10}, {0, 5, 15}, {0, 10, 20}}
	_, fraction := Chronological(spans, 1.5, 0)
	_, empty := Chronological(spans, 0.01, 0)
	_, folds := PurgedFolds(spans, 4, 0, 0)
	_, purge := PurgedFolds(spans, 2, -1, 0)
	leaky := CheckSplit(spans, Split{[]int{0, 2}, []int{1}}, 0)
	for want, err := range map[string]error{
		"fraction 1.5 is impossible": fraction, "one side is empty": empty, "4 folds of 3": folds,
		"purge -1": purge, "share 10 columns": leaky,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestShuffledFoldsLeakAndPurgedOnesDoNot judges a nearest-neighbour decoder on data
// that know nothing of the labels: power that drifts slowly, seen through windows that
// overlap by 90 %. Shuffled folds find in training a window that nearly is the one to
// be judged; purged folds must report chance.
func TestShuffledFoldsLeakAndPurgedOnesDoNot(t *testing.T) {
	const window, step, rate = 200, 20, 100
	var shuffledMean, purgedMean float64
	const seeds = 6
	for seed := range uint64(seeds) {
		r := rand.New(rand.NewPCG(seed, 9))
		track := Track{Len: 48 * 8 * rate}
		for trial := range int64(48) {
			track.Changes = append(track.Changes, Change{trial*8*rate + 4*rate, 1 + r.IntN(2)}, Change{(trial + 1) * 8 * rate, 0})
		}
		const dims = 6
		sum := make([][dims]float64, track.Len+1) // running sums of a drifting signal
		var x [dims]float64
		for i := range track.Len {
			for d := range dims {
				x[d] = 0.995*x[d] + r.NormFloat64()
				sum[i+1][d] = sum[i][d] + x[d]
			}
		}
		labels := track.Windows(0, window, step)
		spans := make([]Span, len(labels))
		rows := make([][dims]float64, len(labels))
		for i, w := range labels {
			spans[i] = Span{From: w.Start, To: w.Start + window}
			for d := range dims {
				rows[i][d] = sum[w.Start+window][d] - sum[w.Start][d]
			}
		}
		judge := func(splits []Split) float64 {
			c := NewConfusion(3)
			for _, s := range splits {
				for _, i := range s.Test {
					best, nearest := math.Inf(1), 0
					for _, j := range s.Train {
						var dist float64
						for d := range dims {
							dist += (rows[i][d] - rows[j][d]) * (rows[i][d] - rows[j][d])
						}
						if dist < best {
							best, nearest = dist, j
						}
					}
					c[labels[i].Class][labels[nearest].Class]++
				}
			}
			return c.NMCC()
		}
		purged, err := PurgedFolds(spans, 5, window, window)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := make([]Split, 5)
		for i, place := range r.Perm(len(spans)) {
			for f := range shuffled {
				if place%5 == f {
					shuffled[f].Test = append(shuffled[f].Test, i)
				} else {
					shuffled[f].Train = append(shuffled[f].Train, i)
				}
			}
		}
		for i := range purged {
			if err := CheckSplit(spans, purged[i], window); err != nil {
				t.Errorf("purged: %v", err)
			}
			if err := CheckSplit(spans, shuffled[i], 0); err == nil {
				t.Error("shuffled folds of overlapping windows pass the check")
			}
		}
		shuffledMean += judge(shuffled) / seeds
		purgedMean += judge(purged) / seeds
	}
	t.Logf("nMCC without any information: shuffled %.3f, purged %.3f", shuffledMean, purgedMean)
	if math.Abs(purgedMean-0.5) > 0.03 {
		t.Errorf("purged folds give nMCC %.3f where nothing can be known", purgedMean)
	}
	if shuffledMean < 0.8 {
		t.Errorf("shuffled folds give nMCC %.3f: the leak this test is about has gone", shuffledMean)
	}
}
