package stream

import (
	"archive/zip"
	"bufio"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRepairsGolden compares with the output of liblsl 1.17.7's post-processor,
// bit for bit.
func TestRepairsGolden(t *testing.T) {
	r, err := zip.OpenReader("testdata/lsl_postproc.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if len(r.File) != 7 {
		t.Fatalf("%d series, not 7", len(r.File))
	}
	for _, f := range r.File {
		t.Run(f.Name, func(t *testing.T) {
			in, err := f.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			s := bufio.NewScanner(in)
			s.Scan()
			var rate, half float64
			var options, n int
			if _, err := fmt.Sscanf(s.Text(), "# srate=%g halftime=%g options=%d n=%d", &rate, &half, &options, &n); err != nil {
				t.Fatal(err)
			}
			var repairs Repairs
			dejitter, monotone := options&2 != 0, options&4 != 0
			if dejitter {
				repairs = append(repairs, &Dejitter{Rate: rate, HalfTime: half})
			}
			if monotone {
				repairs = append(repairs, new(Monotone))
			}
			rows := 0
			for s.Scan() {
				var i int
				var x, want float64
				if _, err := fmt.Sscanf(s.Text(), "%d,%g,%g", &i, &x, &want); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(f.Name, "skip25") && i == n/2 {
					repairs.Skip(25)
				}
				if got := repairs.Repair(x); got != want {
					t.Fatalf("stamp %d: %v becomes %v, not %v", i, x, got, want)
				}
				rows++
			}
			if rows != n {
				t.Fatalf("%d rows, not %d", rows, n)
			}
		})
	}
}

func TestOffset(t *testing.T) {
	o := Offset{Seconds: 2, Slope: 50e-6, At: 100}
	if got := o.Repair(100); got != 102 {
		t.Errorf("at the measurement: %v", got)
	}
	if got := o.Repair(1100); math.Abs(got-1102.05) > 1e-9 {
		t.Errorf("1000 s later with 50 ppm: %v", got)
	}
}

// TestRepairsTogether: 20 ms of jitter, 50 ppm of drift, and lost samples.
func TestRepairsTogether(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	dejitter := &Dejitter{Rate: 250}
	repairs := Repairs{&Offset{Seconds: -500}, dejitter, new(Monotone)}
	truth := func(i int) float64 { return 1000 + float64(i)/250*(1+50e-6) }
	last, worst := 0.0, 0.0
	for i := range 250 * 300 {
		if i >= 20000 && i < 20500 {
			if i == 20000 {
				repairs.Skip(500)
			}
			continue
		}
		got := repairs.Repair(truth(i) + 500 + 0.02*(r.Float64()-0.5))
		if got < last {
			t.Fatalf("sample %d goes back by %v s", i, last-got)
		}
		last = got
		if i > 250*60 {
			worst = max(worst, math.Abs(got-truth(i)))
		}
	}
	if worst > 0.5e-3 {
		t.Errorf("after a minute stamps are off by up to %.3f ms", worst*1e3)
	}
	if p := dejitter.Period(); math.Abs(p*250-1-50e-6) > 5e-6 {
		t.Errorf("period %v s, so %.1f ppm", p, (p*250-1)*1e6)
	}
	repairs.Reset()
	if got := repairs.Repair(600); got > 101 {
		t.Errorf("after Reset 600 becomes %v", got)
	}
}

func TestDejitterOddStamps(t *testing.T) {
	d := &Dejitter{Rate: 100}
	d.Repair(1)
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		d.Repair(bad)
	}
	if got := d.Repair(1.01); math.Abs(got-1.01) > 1e-9 {
		t.Errorf("after NaN and Inf: %v", got)
	}
	below := &Dejitter{Rate: 100} // stamps below one second are no special case
	for i := range 100 {
		if got, want := below.Repair(float64(i)/100), float64(i)/100; math.Abs(got-want) > 1e-9 {
			t.Fatalf("%v becomes %v", want, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { d.Repair(2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
