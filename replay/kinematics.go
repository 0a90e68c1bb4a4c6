package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"neurostream/stream"
)

// Kinematics is a stream of decoded kinematics, gathered for judging.
type Kinematics struct {
	Outputs []stream.Channel // the kinematic rows, in order
	Step    float64          // seconds between columns; 0 when irregular
	Time    []float64        // stamp of each column in seconds: that of the newest sample behind it
	Y       []float64        // len(Outputs) values per column
	Bad     []bool           // columns that were only predicted: their input could not be used
	Skipped int64            // columns that came after the collector was full
}

// Len returns the number of columns.
func (d *Kinematics) Len() int { return len(d.Time) }

// Row returns column i.
func (d *Kinematics) Row(i int) []float64 {
	k := len(d.Outputs)
	return d.Y[i*k : (i+1)*k : (i+1)*k]
}

// KinematicCollector is a [stream.Sink] that keeps the rows of type "kinematic". Its memory
// is bounded by Limit; 20 columns a second of 2 rows take 2.5 MB an hour.
type KinematicCollector struct {
	Limit int // columns kept; what comes later is only counted; 0 = 1<<22

	d    Kinematics
	rows []int
}

// Open finds the rows.
func (c *KinematicCollector) Open(_ context.Context, in stream.Header) error {
	if c.Limit < 0 {
		return fmt.Errorf("limit %d is impossible: give the number of columns to keep, or 0 for %d", c.Limit, 1<<22)
	}
	if c.Limit == 0 {
		c.Limit = 1 << 22
	}
	c.rows, c.d = nil, Kinematics{}
	if in.Rate > 0 {
		c.d.Step = 1 / in.Rate
	}
	for i, ch := range in.Channels {
		if ch.Type == "kinematic" {
			c.rows = append(c.rows, i)
			c.d.Outputs = append(c.d.Outputs, ch)
		}
	}
	if len(c.rows) == 0 {
		return fmt.Errorf("stream %q has no row of type kinematic, so there is nothing to judge", in.Name)
	}
	return nil
}

// Write keeps the columns of a chunk.
func (c *KinematicCollector) Write(src *stream.Chunk) error {
	for i := range src.Len {
		if len(c.d.Time) == c.Limit {
			c.d.Skipped += int64(src.Len - i)
			return nil
		}
		bad := false
		for _, r := range c.rows {
			c.d.Y = append(c.d.Y, src.At(r, i))
			bad = bad || src.IsBad(r, i)
		}
		c.d.Time = append(c.d.Time, (src.T0 + nanoseconds(float64(i)*c.d.Step)).Seconds())
		c.d.Bad = append(c.d.Bad, bad)
	}
	return nil
}

// Close does nothing; the columns stay.
func (c *KinematicCollector) Close() error { return nil }

// Kinematics returns what was gathered. It shares the collector's memory.
func (c *KinematicCollector) Kinematics() *Kinematics { return &c.d }

// KinematicOptions of [ScoreKinematics].
type KinematicOptions struct {
	Block  float64 // seconds that are resampled together for the intervals; 0 = 10
	Shifts int     // circular shifts of the truth that measure chance; 0 = 1000, fewer when the track is long
	Seed   uint64  // of shifts and resampling
}

// KinematicReport is how close decoded kinematics came to the truth. Columns that were only
// predicted count like all others: they are what the user got. Intervals are 95 % and
// come from resampling blocks of time, which keeps neighbours together; chance is what
// the same output reaches against truths shifted in time.
type KinematicReport struct {
	Columns  int `json:"columns"`            // compared
	Unusable int `json:"unusable"`           // of them only predicted, because their input could not be used
	NoTruth  int `json:"no_truth,omitempty"` // columns without a true value, left out

	// RMSE over all outputs divided by the RMS of the truth: always answering zero scores 1.
	NRMSE       Measure `json:"nrmse"`
	NRMSELow95  Measure `json:"nrmse_low95"`
	NRMSEHigh95 Measure `json:"nrmse_high95"`
	NRMSEChance Measure `json:"nrmse_chance95"` // 95 % of shifted truths score above it

	// Mean absolute angular error in radians, of planar outputs; chance is π/2. Where
	// hardly anything moves the direction means little: Fast is over the columns whose
	// true speed lies above the median.
	MAAE     Measure `json:"maae_rad"`
	MAAEFast Measure `json:"maae_fast_rad"`

	Outputs []OutputReport `json:"outputs"`
}

// OutputReport is one output's part of a KinematicReport.
type OutputReport struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit"`
	RMSE    Measure `json:"rmse"`        // in Unit
	R2      Measure `json:"r2"`          // share of variance explained
	R       Measure `json:"correlation"` // Pearson's
	RLow95  Measure `json:"correlation_low95"`
	RHigh95 Measure `json:"correlation_high95"`
	RChance Measure `json:"correlation_chance95"` // 95 % of shifted truths stay below it
}

// moments of decoded g and true w over some columns.
type moments struct{ n, g, w, gg, ww, gw, ee float64 }

func (m *moments) add(g, w float64) {
	m.n++
	m.g += g
	m.w += w
	m.gg += float64(g * g)
	m.ww += float64(w * w)
	m.gw += float64(g * w)
	m.ee += float64((g - w) * (g - w))
}

func (m *moments) join(o *moments) {
	m.n, m.g, m.w, m.gg, m.ww, m.gw, m.ee = m.n+o.n, m.g+o.g, m.w+o.w, m.gg+o.gg, m.ww+o.ww, m.gw+o.gw, m.ee+o.ee
}

func (m *moments) r() float64 {
	cg, cw := m.gg-m.g*m.g/m.n, m.ww-m.w*m.w/m.n
	if !(cg > 1e-12*m.gg) || !(cw > 1e-12*m.ww) {
		return math.NaN() // constant
	}
	return (m.gw - m.g*m.w/m.n) / math.Sqrt(cg*cw)
}

func (m *moments) r2() float64 {
	if cw := m.ww - m.w*m.w/m.n; cw > 1e-12*m.ww {
		return 1 - m.ee/cw
	}
	return math.NaN()
}

func nrmse(m []moments) float64 {
	e, w := 0.0, 0.0
	for i := range m {
		e, w = e+m[i].ee, w+m[i].ww
	}
	return math.Sqrt(e / w)
}

// ScoreKinematics compares decoded kinematics with the truth: a function that fills dst with the true
// values at a time in seconds and reports false where there are none.
func ScoreKinematics(d *Kinematics, truth func(dst []float64, seconds float64) bool, o KinematicOptions) (*KinematicReport, error) {
	k := len(d.Outputs)
	if o.Block == 0 {
		o.Block = 10
	}
	if !(o.Block > 0) || o.Shifts < 0 {
		return nil, fmt.Errorf("blocks of %v s and %d shifts are impossible: give positive numbers, or 0 for the usual ones", o.Block, o.Shifts)
	}
	var got, want []float64 // k values per compared column
	var when []float64
	r := new(KinematicReport)
	row := make([]float64, k)
	for i := range d.Time {
		if !truth(row, d.Time[i]) || !finite(row) {
			r.NoTruth++
			continue
		}
		if d.Bad[i] {
			r.Unusable++
		}
		got, want, when = append(got, d.Row(i)...), append(want, row...), append(when, d.Time[i])
	}
	n := len(when)
	if r.Columns = n; n < 2 {
		return nil, errors.New("fewer than two decoded columns have a true value to compare with")
	}
	// blocks of time
	var blocks [][]moments
	total := make([]moments, k)
	began := when[0]
	for i := range n {
		if i == 0 || when[i]-began >= o.Block || when[i] < began {
			blocks, began = append(blocks, make([]moments, k)), when[i]
		}
		for j := range k {
			blocks[len(blocks)-1][j].add(got[i*k+j], want[i*k+j])
		}
	}
	for _, b := range blocks {
		for j := range k {
			total[j].join(&b[j])
		}
	}
	r.NRMSE = Measure(nrmse(total))
	r.MAAE, r.MAAEFast = Measure(math.NaN()), Measure(math.NaN())
	if k == 2 {
		r.MAAE, r.MAAEFast = angles(got, want)
	}
	random := rand.New(rand.NewPCG(o.Seed, 0x747261636b))
	var errs []float64
	corrs := make([][]float64, k)
	for range 1000 {
		again := make([]moments, k)
		for range blocks {
			b := blocks[random.IntN(len(blocks))]
			for j := range k {
				again[j].join(&b[j])
			}
		}
		errs = append(errs, nrmse(again))
		for j := range k {
			corrs[j] = append(corrs[j], again[j].r())
		}
	}
	unknown := len(blocks) < 5 // too few to say anything
	interval := func(v []float64) (low, high Measure) {
		v = slices.DeleteFunc(v, math.IsNaN)
		if unknown || len(v) == 0 {
			return Measure(math.NaN()), Measure(math.NaN())
		}
		slices.Sort(v)
		return Measure(v[len(v)*25/1000]), Measure(v[len(v)*975/1000])
	}
	r.NRMSELow95, r.NRMSEHigh95 = interval(errs)
	chanceE, chanceR := shifted(got, want, k, o.Shifts, random)
	r.NRMSEChance = chanceE
	for j, ch := range d.Outputs {
		p := OutputReport{Name: ch.Label, Unit: ch.Unit, RMSE: Measure(math.Sqrt(total[j].ee / total[j].n)), R2: Measure(total[j].r2()), R: Measure(total[j].r()), RChance: chanceR[j]}
		p.RLow95, p.RHigh95 = interval(corrs[j])
		r.Outputs = append(r.Outputs, p)
	}
	return r, nil
}

// shifted scores the output against the truth turned in time by a tenth to nine tenths
// of its length.
func shifted(got, want []float64, k, shifts int, random *rand.Rand) (e Measure, r []Measure) {
	n := len(got) / k
	if shifts == 0 {
		shifts = min(1000, max(100, 200_000_000/len(got)))
	}
	r = make([]Measure, k)
	for j := range r {
		r[j] = Measure(math.NaN())
	}
	if n < 20 {
		return Measure(math.NaN()), r
	}
	var errs []float64
	corrs := make([][]float64, k)
	for range shifts {
		by := n/10 + random.IntN(n*8/10)
		m := make([]moments, k)
		for i := range n {
			at := i + by
			if at >= n {
				at -= n
			}
			for j := range k {
				m[j].add(got[i*k+j], want[at*k+j])
			}
		}
		errs = append(errs, nrmse(m))
		for j := range k {
			if v := m[j].r(); v == v {
				corrs[j] = append(corrs[j], v)
			}
		}
	}
	slices.Sort(errs)
	for j, c := range corrs {
		if len(c) > 0 {
			slices.Sort(c)
			r[j] = Measure(c[len(c)*95/100])
		}
	}
	return Measure(errs[len(errs)*5/100]), r
}

func angles(got, want []float64) (all, fast Measure) {
	n := len(got) / 2
	err, speed := make([]float64, n), make([]float64, n)
	for i := range n {
		g, w := got[2*i:2*i+2], want[2*i:2*i+2]
		d := math.Abs(math.Atan2(g[1], g[0]) - math.Atan2(w[1], w[0]))
		err[i], speed[i] = min(d, 2*math.Pi-d), math.Hypot(w[0], w[1])
	}
	sorted := slices.Clone(speed)
	slices.Sort(sorted)
	median := sorted[n/2]
	sum, quick, m := 0.0, 0.0, 0
	for i, e := range err {
		sum += e
		if speed[i] > median {
			quick += e
			m++
		}
	}
	return Measure(sum / float64(n)), Measure(quick / float64(m))
}

func finite(v []float64) bool {
	for _, x := range v {
		if x-x != 0 {
			return false
		}
	}
	return true
}
