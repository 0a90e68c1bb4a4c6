package biquad_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"neurostream/filters/internal/biquad"
	"neurostream/stream/kernel"
)

// textbook is the definition: one section after the other.
func textbook(x []biquad.Column, q []biquad.Coefficients, s []biquad.State) {
	for k := range q {
		biquad.Textbook(x, &q[k], &s[k])
	}
}

// same reports equality of bits, any two values that are not numbers being equal:
// which of two operands' payloads survives is not specified.
func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || a != a && b != b
}

func compare(t *testing.T, what string, x, y []biquad.Column, s, r []biquad.State) {
	t.Helper()
	for i := range x {
		for l := range x[i] {
			if !same(x[i][l], y[i][l]) {
				t.Fatalf("%s: column %d of %d, lane %d is %v, want %v", what, i, len(x), l, x[i][l], y[i][l])
			}
		}
	}
	for k := range s {
		for i := range s[k] {
			for l := range s[k][i] {
				if !same(s[k][i][l], r[k][i][l]) {
					t.Fatalf("%s: state %d of section %d of %d, lane %d is %v, want %v", what, i+1, k, len(s), l, s[k][i][l], r[k][i][l])
				}
			}
		}
	}
}

// check runs the same numbers through the definition and every level.
func check(t *testing.T, x []biquad.Column, q []biquad.Coefficients, s []biquad.State) {
	t.Helper()
	y, r := append([]biquad.Column(nil), x...), append([]biquad.State(nil), s...)
	textbook(y, q, r)
	for _, level := range kernel.Supported() {
		// A guard column on either side shows writes past the ends.
		guarded := make([]biquad.Column, len(x)+2)
		guard := biquad.Column{1, 2, 3, 4, 5, 6, 7, 8}
		guarded[0], guarded[len(x)+1] = guard, guard
		copy(guarded[1:], x)
		states := append([]biquad.State(nil), s...)
		biquad.RunAt(level, guarded[1:len(x)+1], q, states)
		if guarded[0] != guard || guarded[len(x)+1] != guard {
			t.Fatalf("%v writes outside its columns", level)
		}
		compare(t, level.String(), guarded[1:len(x)+1], y, states, r)

		to := make([]biquad.Column, len(x))
		good, want := biquad.CopyAt(level, to, x), true
		for i := range x {
			for l := range x[i] {
				if !(math.Abs(x[i][l]) <= biquad.Limit) {
					want = false
				}
				if math.Float64bits(to[i][l]) != math.Float64bits(x[i][l]) {
					t.Fatalf("%v copies %v to %v", level, x[i][l], to[i][l])
				}
			}
		}
		if good != want {
			t.Fatalf("%v: Copy says %v, want %v", level, good, want)
		}
	}
}

func random(r *rand.Rand, columns, sections int) ([]biquad.Column, []biquad.Coefficients, []biquad.State) {
	x := make([]biquad.Column, columns)
	for i := range x {
		for l := range x[i] {
			x[i][l] = r.NormFloat64() * 100
		}
	}
	q, s := make([]biquad.Coefficients, sections), make([]biquad.State, sections)
	for k := range q {
		// Any pole pair inside the unit circle.
		rad, ang := 0.999*math.Sqrt(r.Float64()), math.Pi*r.Float64()
		q[k] = biquad.Coefficients{r.NormFloat64(), r.NormFloat64(), r.NormFloat64(), -2 * rad * math.Cos(ang), rad * rad}
		for i := range s[k] {
			for l := range s[k][i] {
				s[k][i][l] = r.NormFloat64()
			}
		}
	}
	return x, q, s
}

func TestEveryLevelEqualsTheTextbookBitForBit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for sections := range 18 {
		for _, columns := range []int{0, 1, 2, 3, 7, 31, 64, 255, 256, 257, 600} {
			x, q, s := random(r, columns, sections)
			check(t, x, q, s)
			for range columns / 16 { // what data can contain
				odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 5e-324, -1e-310, 0, math.Copysign(0, -1), math.MaxFloat64, 1e100, -1.0000001e100}
				x[r.IntN(columns)][r.IntN(8)] = odd[r.IntN(len(odd))]
			}
			check(t, x, q, s)
		}
	}
}

func FuzzLevels(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 3, 9} {
		x, q, s := random(r, n, n%5+1)
		var b []byte
		for _, c := range q {
			b, _ = binary.Append(b, binary.LittleEndian, c)
		}
		for _, c := range s {
			b, _ = binary.Append(b, binary.LittleEndian, c)
		}
		for _, c := range x {
			b, _ = binary.Append(b, binary.LittleEndian, c)
		}
		f.Add(uint8(len(q)), b)
	}
	f.Add(uint8(2), []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, sections uint8, b []byte) {
		at := 0
		next := func() (v float64) {
			if at+8 <= len(b) {
				v = math.Float64frombits(binary.LittleEndian.Uint64(b[at:]))
			}
			at += 8
			return v
		}
		q, s := make([]biquad.Coefficients, sections%9), make([]biquad.State, sections%9)
		for k := range q {
			for i := range q[k] {
				q[k][i] = next()
			}
		}
		for k := range s {
			for i := range s[k] {
				for l := range s[k][i] {
					s[k][i][l] = next()
				}
			}
		}
		x := make([]biquad.Column, min(2000, max(0, len(b)-at)/64+1))
		for i := range x {
			for l := range x[i] {
				x[i][l] = next()
			}
		}
		check(t, x, q, s)
	})
}

func TestFlush(t *testing.T) {
	s := []biquad.State{{{1e-31, -1e-31, 1e-30, 1}, {5e-324, 2}}}
	biquad.Flush(s)
	if want := (biquad.State{{0, 0, 1e-30, 1}, {0, 2}}); s[0] != want {
		t.Errorf("%v, want %v", s[0], want)
	}
}

// BenchmarkCascade: 64 channels, chunks of 32 columns, four sections of a band-pass,
// in place; the pair that argues for fusing and for assembly.
func BenchmarkCascade(b *testing.B) {
	for _, sections := range []int{1, 2, 4} {
		_, q, s := random(rand.New(rand.NewPCG(5, 6)), 0, sections)
		source, _, _ := random(rand.New(rand.NewPCG(7, 8)), 32, 0)
		run := func(name string, f func(x []biquad.Column, q []biquad.Coefficients, s []biquad.State)) {
			b.Run(fmt.Sprintf("sections=%d/%s", sections, name), func(b *testing.B) {
				var tiles [8][]biquad.Column
				var states [8][]biquad.State
				for k := range tiles {
					tiles[k], states[k] = make([]biquad.Column, 32), append([]biquad.State(nil), s...)
				}
				least := time.Duration(1 << 62) // of a chunk: what an undisturbed core does
				for b.Loop() {
					start := time.Now()
					for k := range tiles {
						copy(tiles[k], source)
						f(tiles[k], q, states[k])
					}
					least = min(least, time.Since(start))
				}
				b.ReportMetric(64*32/least.Seconds()/1e6, "best-Msamples/s")
				b.ReportMetric(float64(b.N)*64*32/b.Elapsed().Seconds()/1e6, "Msamples/s")
			})
		}
		run("textbook", textbook)
		for _, level := range kernel.Supported() {
			run(level.String(), func(x []biquad.Column, q []biquad.Coefficients, s []biquad.State) { biquad.RunAt(level, x, q, s) })
		}
	}
}
