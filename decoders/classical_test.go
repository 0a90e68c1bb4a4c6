package decoders

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"neurostream/decoders/internal/dense"
	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// covarianceRows are covariance matrices of n channels in three classes: channel k
// is loud in class k, on top of noise and a common mixing.
func covarianceRows(seed uint64, examples, n int) *Rows {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := &Rows{Header: covarianceHeader(n), Classes: []string{"rest", "left", "right"}}
	mixing, m := randomSPD(r, n), dense.New(n, n)
	for i := range examples {
		y := i % 3
		x, c := dense.New(n, 3*n), dense.New(n, n)
		for ch := range n {
			gain := 1.0
			if ch == y {
				gain = 2
			}
			for t := range 3 * n {
				x.Set(ch, t, gain*r.NormFloat64())
			}
		}
		dense.MulT(c, x, x)
		dense.Mul(m, mixing, c)
		dense.MulT(c, m, mixing)
		u := make([]float64, n*(n+1)/2)
		upperTriangle(u, c)
		rows.X, rows.Y, rows.Group = append(rows.X, u), append(rows.Y, y), append(rows.Group, i/6)
	}
	return rows
}

// featureRows are n features in k classes, the first k of them shifted by class.
func featureRows(seed uint64, examples, n, classes int) *Rows {
	r := rand.New(rand.NewPCG(seed, 2))
	rows := &Rows{Header: featureHeader(n), Classes: []string{"rest", "left", "right", "feet"}[:classes]}
	for i := range examples {
		y := i % classes
		x := make([]float64, n)
		for j := range x {
			x[j] = r.NormFloat64() * float64(1+j)
		}
		x[y] += 2 * float64(1+y)
		rows.X, rows.Y, rows.Group = append(rows.X, x), append(rows.Y, y), append(rows.Group, i/6)
	}
	return rows
}

func probabilityHeader(classes ...string) stream.Header {
	h := stream.Header{Name: "p", Rate: 10, MaxLen: 64}
	for _, c := range classes {
		h.Channels = append(h.Channels, stream.Channel{Label: c, Unit: "probability", Type: TypeProbability})
	}
	return h
}

func probabilitySignal(col int64, dst []float64) {
	r := rand.New(rand.NewPCG(5, uint64(col/7)))
	for i := range dst {
		dst[i] = 2 * r.NormFloat64()
	}
	softmax(dst)
}

// classicalFitters are all stages of this kind that learn, with rows they learn from.
func classicalFitters() map[string]struct {
	fresh func() Fitter
	rows  *Rows
} {
	cov, three, two := covarianceRows(1, 90, 5), featureRows(2, 90, 6, 3), featureRows(3, 60, 5, 2)
	type entry = struct {
		fresh func() Fitter
		rows  *Rows
	}
	return map[string]entry{
		"tangent riemann":    {func() Fitter { return &TangentSpace{} }, cov},
		"tangent logeuclid":  {func() Fitter { return &TangentSpace{Metric: LogEuclid} }, cov},
		"csp pair":           {func() Fitter { return &CSP{Components: 4, Classes: []string{"left", "right"}, Reg: 0.1} }, cov},
		"csp joint":          {func() Fitter { return &CSP{Components: 3} }, cov},
		"csp ovr":            {func() Fitter { return &CSP{Components: 6, Multi: "ovr"} }, cov},
		"mdm":                {func() Fitter { return &MDM{} }, cov},
		"fgmdm":              {func() Fitter { return &MDM{Filter: true} }, cov},
		"lda lsqr":           {func() Fitter { return &LDA{Shrinkage: "auto"} }, three},
		"lda svd":            {func() Fitter { return &LDA{Solver: "svd"} }, two},
		"logistic":           {func() Fitter { return &Logistic{} }, three},
		"logistic two":       {func() Fitter { return &Logistic{} }, two},
		"logistic ovr":       {func() Fitter { return &Logistic{OneVsAll: true, Balanced: true} }, three},
		"logistic two-level": {func() Fitter { return &Logistic{Idle: "rest", IdleC: 0.1} }, three},
		"logistic elastic":   {func() Fitter { return &Logistic{Penalty: "elasticnet", L1Ratio: 0.5} }, three},
		"scaler":             {func() Fitter { return &Scaler{} }, three},
		"trca":               {func() Fitter { return &TRCA{} }, flickerRows(4, 40, 3, 20)},
		"trca ensemble":      {func() Fitter { return &TRCA{Bands: 3, Ensemble: true} }, flickerRows(5, 40, 3, 20)},
		"xdawn covariance":   {func() Fitter { return &XDAWN{Filters: 2, Estimator: "oas"} }, flickerRows(8, 60, 3, 20)},
		"xdawn samples":      {func() Fitter { return &XDAWN{Classes: []string{"13 Hz"}, Output: "samples"} }, flickerRows(9, 60, 3, 20)},
		"fbcsp":              {func() Fitter { return &FBCSP{Components: 2, Select: 3} }, bandRows(10, 90, 3, 3)},
		"fbcsp ovr":          {func() Fitter { return &FBCSP{Components: 3, Multi: "ovr", Reg: 0.1, Select: 4} }, bandRows(11, 90, 2, 3)},
		"svm linear":         {func() Fitter { return &SVM{} }, three},
		"svm rbf":            {func() Fitter { return &SVM{Kernel: "rbf", Balanced: true} }, three},
		"svm two":            {func() Fitter { return &SVM{Kernel: "rbf"} }, two},
	}
}

func TestClassicalContract(t *testing.T) {
	for name, f := range classicalFitters() {
		t.Run(name, func(t *testing.T) {
			streamtest.Contract(t, streamtest.Case{
				New: fitted(t, f.fresh(), f.rows, f.fresh), In: f.rows.Header, Columns: 900, Memory: 1, Signal: signalOf(f.rows),
			})
		})
	}
	cov := covarianceRows(4, 400, 4)
	p := probabilityHeader("rest", "left", "right")
	w := flickerRows(6, 90, 4, 20)
	for name, c := range map[string]streamtest.Case{
		"cca":       {New: func() stream.Stage { return &CCA{Freqs: []float64{8, 13}, Harmonics: 2} }, In: w.Header, Signal: signalOf(w), Memory: 1},
		"fbcca":     {New: func() stream.Stage { return &CCA{Freqs: []float64{8, 13}, Harmonics: 2, Bands: 2} }, In: w.Header, Signal: signalOf(w), Memory: 1},
		"softmax":   {New: func() stream.Stage { return &Softmax{Scale: 2} }, In: featureHeader(4), Signal: signalOf(featureRows(7, 90, 4, 2)), Memory: 1},
		"embed":     {New: func() stream.Stage { return &Embed{Order: 3, Lag: 0.2} }, In: featureHeader(5), Signal: signalOf(featureRows(8, 300, 5, 2)), Memory: 10},
		"normalise": {New: func() stream.Stage { return &Normalise{Memory: 5} }, In: featureHeader(5), Signal: signalOf(featureRows(9, 300, 5, 2)), Memory: 500, Tolerance: 0.02},
		"recentre":  {New: func() stream.Stage { return &Recentre{Every: 0.5, Memory: 5} }, In: cov.Header, Signal: signalOf(cov), Memory: 400, Tolerance: 0.05},
		"gate":      {New: func() stream.Stage { return &Gate{Threshold: 0.5, Dwell: 3, Refractory: 1.5, Idle: "rest"} }, In: p, Signal: probabilitySignal, Memory: 100},
		"smooth":    {New: func() stream.Stage { return &Smooth{} }, In: p, Signal: probabilitySignal, Memory: 200},
	} {
		t.Run(name, func(t *testing.T) {
			c.Columns = 900
			streamtest.Contract(t, c)
		})
	}
}

// A saved model that is loaded gives the same bits, and saves as the same text; the
// same training gives the same model.
func TestClassicalModelRoundTrip(t *testing.T) {
	for name, f := range classicalFitters() {
		t.Run(name, func(t *testing.T) {
			a, b := f.fresh(), f.fresh()
			learn(t, a, f.rows)
			raw, err := a.SaveModel()
			if err != nil {
				t.Fatal(err)
			}
			if err := b.LoadModel(raw); err != nil {
				t.Fatal(err)
			}
			again, err := b.SaveModel()
			if err != nil || string(again) != string(raw) {
				t.Errorf("saved again: %v, equal %v", err, string(again) == string(raw))
			}
			x, y := outputs(t, a, f.rows.Header, f.rows.X), outputs(t, b, f.rows.Header, f.rows.X)
			for i := range x {
				for j := range x[i] {
					if math.Float64bits(x[i][j]) != math.Float64bits(y[i][j]) {
						t.Fatalf("column %d, row %d: %v before, %v after", i, j, x[i][j], y[i][j])
					}
				}
			}
			c := learn(t, f.fresh(), f.rows)
			if third, err := c.SaveModel(); err != nil || string(third) != string(raw) {
				t.Errorf("trained again: %v, equal %v", err, string(third) == string(raw))
			}
		})
	}
}

// Classifiers must know what they were shown: far above chance on their own examples.
func TestClassifiersLearn(t *testing.T) {
	for name, f := range classicalFitters() {
		s := learn(t, f.fresh(), f.rows)
		out, err := s.Open(f.rows.Header)
		if err != nil {
			t.Fatal(err)
		}
		if out.Channels[0].Type != TypeProbability {
			continue
		}
		right := 0
		p := outputs(t, s, f.rows.Header, f.rows.X)
		for i, k := range winners(p) {
			sum := 0.0
			for _, v := range p[i] {
				sum += v
			}
			if math.Abs(sum-1) > 1e-12 {
				t.Fatalf("%s: probabilities of example %d sum to %v", name, i, sum)
			}
			if k == f.rows.Y[i] {
				right++
			}
		}
		if float64(right) < 0.7*float64(len(p)) {
			t.Errorf("%s: %d of %d", name, right, len(p))
		}
	}
}

// Training data that cannot teach give one clear line, and the old model stays.
func TestClassicalRefusesDegenerateRows(t *testing.T) {
	edit := func(r *Rows, f func(*Rows)) *Rows {
		c := &Rows{Header: r.Header.Clone(), Classes: slices.Clone(r.Classes), Y: slices.Clone(r.Y), Group: slices.Clone(r.Group)}
		for _, x := range r.X {
			c.X = append(c.X, slices.Clone(x))
		}
		f(c)
		return c
	}
	ctx := context.Background()
	for name, f := range classicalFitters() {
		supervised := true
		switch name {
		case "tangent riemann", "tangent logeuclid", "scaler":
			supervised = false
		}
		for what, rows := range map[string]*Rows{
			"none":   edit(f.rows, func(r *Rows) { r.X, r.Y = nil, nil }),
			"nan":    edit(f.rows, func(r *Rows) { r.X[7][1] = math.NaN() }),
			"ragged": edit(f.rows, func(r *Rows) { r.X[7] = r.X[7][:2] }),
			"one class": edit(f.rows, func(r *Rows) {
				for i := range r.Y {
					r.Y[i] = 1
				}
			}),
			"labels": edit(f.rows, func(r *Rows) { r.Y[3] = 9 }),
		} {
			if !supervised && (what == "one class" || what == "labels") {
				continue
			}
			s := f.fresh()
			err := s.Fit(ctx, rows, nil)
			if err == nil || strings.Contains(err.Error(), "\n") || len(err.Error()) < 15 {
				t.Errorf("%s, %s: %v", name, what, err)
			}
			if _, err := s.SaveModel(); err != ErrUntrained {
				t.Errorf("%s, %s: a failed Fit leaves a model (%v)", name, what, err)
			}
		}
	}
}

func TestClassicalDegenerateButDecodable(t *testing.T) {
	ctx := context.Background()
	rows := featureRows(9, 60, 5, 2)
	for _, x := range rows.X {
		x[3] = 7 // constant
		x[4] = 2 * x[0]
	}
	for name, f := range map[string]Fitter{
		"lsqr": &LDA{}, "svd": &LDA{Solver: "svd"}, "auto": &LDA{Shrinkage: "auto"}, "logistic": &Logistic{}, "scaler": &Scaler{},
		"svm": &SVM{}, "svm rbf": &SVM{Kernel: "rbf"},
	} {
		if err := f.Fit(ctx, rows, nil); err != nil {
			t.Errorf("%s on a constant and a repeated row: %v", name, err)
			continue
		}
		for _, y := range outputs(t, f, rows.Header, rows.X) {
			if !allFinite(y) {
				t.Errorf("%s puts out %v", name, y)
				break
			}
		}
	}
	if err := (&LDA{Solver: "eigen"}).Fit(ctx, rows, nil); err == nil || !strings.Contains(err.Error(), "shrinkage auto") {
		t.Errorf("eigen on a singular covariance: %v", err)
	}

	// Fewer windows than channels, each of full rank: everything works.
	few := covarianceRows(10, 6, 8)
	for name, f := range map[string]Fitter{"tangent": &TangentSpace{}, "csp": &CSP{}, "mdm": &MDM{}, "fgmdm": &MDM{Filter: true}} {
		if err := f.Fit(ctx, few, nil); err != nil {
			t.Errorf("%s with fewer windows than channels: %v", name, err)
		}
	}

	// Singular covariances: refused where a logarithm is needed, a direction less in CSP.
	singular := covarianceRows(11, 30, 4)
	drop := dense.New(4, 4) // a common average removes one direction
	for i := range 4 {
		for j := range 4 {
			drop.Set(i, j, -0.25)
		}
		drop.Set(i, i, 0.75)
	}
	m, s := dense.New(4, 4), newSPD(4)
	for _, x := range singular.X {
		symmetric(m, x)
		s.congruence(m, drop, m)
		upperTriangle(x, m)
	}
	for name, f := range map[string]Fitter{"tangent": &TangentSpace{}, "mdm": &MDM{}} {
		if err := f.Fit(ctx, singular, nil); err == nil || !strings.Contains(err.Error(), "not positive definite") {
			t.Errorf("%s on singular covariances: %v", name, err)
		}
	}
	if err := (&FBCSP{Components: 3, Select: 3}).Fit(ctx, singular, nil); err == nil || !strings.Contains(err.Error(), "singular") {
		t.Errorf("joint fbcsp on singular covariances: %v", err)
	}
	if err := (&FBCSP{Components: 2, Select: 2, Classes: []string{"left", "right"}}).Fit(ctx, singular, nil); err != nil {
		t.Errorf("fbcsp of two classes on singular covariances: %v", err)
	}
	twin, _ := evokedRows(3, 60) // the first two channels are one
	for _, x := range twin.X {
		copy(x[40:80], x[:40])
	}
	if err := (&XDAWN{Filters: 3}).Fit(ctx, twin, nil); err != nil {
		t.Errorf("xdawn on channels that are one: %v", err)
	}
	if err := (&XDAWN{Filters: 4}).Fit(ctx, twin, nil); err == nil || !strings.Contains(err.Error(), "only 3 directions") {
		t.Errorf("xdawn asked for a direction that is not there: %v", err)
	}
	two := func(c int) *CSP { return &CSP{Components: c, Classes: []string{"left", "right"}} }
	if err := two(3).Fit(ctx, singular, nil); err != nil {
		t.Errorf("csp on singular covariances: %v", err)
	}
	if err := two(4).Fit(ctx, singular, nil); err == nil || !strings.Contains(err.Error(), "only 3 directions") {
		t.Errorf("csp asked for a direction that is not there: %v", err)
	}
	// In the stream a singular covariance repeats the last output and is marked.
	ts := learn(t, &TangentSpace{}, covarianceRows(12, 30, 4))
	out, err := ts.Open(covarianceHeader(4))
	if err != nil {
		t.Fatal(err)
	}
	h := covarianceHeader(4)
	src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	src.Resize(2)
	src.SetColumn(0, covarianceRows(12, 3, 4).X[0])
	src.SetColumn(1, make([]float64, 10))
	ts.Process(dst, src)
	if dst.IsBad(0, 0) || !dst.IsBad(0, 1) || dst.At(3, 1) != dst.At(3, 0) {
		t.Errorf("a zero covariance: marks %v %v, values %v %v", dst.IsBad(0, 0), dst.IsBad(0, 1), dst.At(3, 0), dst.At(3, 1))
	}
}

func TestClassicalSettings(t *testing.T) {
	cov, feat, p := covarianceRows(1, 30, 4), featureRows(1, 30, 4, 3), probabilityHeader("rest", "left")
	ctx := context.Background()
	for _, c := range []struct {
		stage stream.Stage
		rows  *Rows
		want  string
	}{
		{&TangentSpace{Metric: "kullback"}, cov, `metric "kullback": choose riemann, logeuclid`},
		{&TangentSpace{}, feat, "are not the upper triangle"},
		{&CSP{Components: -1}, cov, "components -1"},
		{&CSP{Components: 9}, cov, "only 4 directions"},
		{&CSP{Reg: 2}, cov, "reg 2"},
		{&CSP{Order: "best"}, cov, `order "best"`},
		{&CSP{Multi: "pairs"}, cov, `multi "pairs"`},
		{&CSP{Multi: "ovr", Components: 4}, cov, "give a multiple"},
		{&CSP{Classes: []string{"left", "feet"}}, cov, `class "feet"`},
		{&MDM{Metric: "x"}, cov, `metric "x"`},
		{&LDA{Solver: "qr"}, feat, `solver "qr"`},
		{&LDA{Shrinkage: "2"}, feat, `shrinkage "2"`},
		{&LDA{Shrinkage: "NaN"}, feat, `shrinkage "NaN"`},
		{&LDA{Solver: "svd", Shrinkage: "auto"}, feat, "svd cannot shrink"},
		{&Logistic{C: -1}, feat, "c -1"},
		{&Logistic{IdleC: math.Inf(1)}, feat, "idle c"},
		{&Logistic{Penalty: "l0"}, feat, `penalty "l0"`},
		{&Logistic{L1Ratio: 0.5}, feat, "needs penalty elasticnet"},
		{&Logistic{Penalty: "elasticnet", L1Ratio: 2}, feat, "l1 ratio 2"},
		{&Logistic{Idle: "sleep"}, feat, `idle class "sleep"`},
		{&Logistic{Idle: "rest"}, featureRows(1, 30, 4, 2), "at least two classes besides idle"},
		{&Recentre{Every: -1}, &Rows{Header: cov.Header}, "every -1"},
		{&Recentre{Memory: 0.1}, &Rows{Header: cov.Header}, "memory 0.1"},
		{&Recentre{}, &Rows{Header: p}, "are not the upper triangle"},
		{&Gate{Threshold: 1.5}, &Rows{Header: p}, "threshold 1.5"},
		{&Gate{Dwell: -1}, &Rows{Header: p}, "dwell -1"},
		{&Gate{Refractory: -1}, &Rows{Header: p}, "refractory -1"},
		{&Gate{Idle: "sleep"}, &Rows{Header: p}, `idle class "sleep"`},
		{&Gate{}, &Rows{Header: feat.Header}, "put a classifier before the gate"},
		{&Smooth{Seconds: -1}, &Rows{Header: p}, "seconds -1"},
		{&Smooth{}, &Rows{Header: feat.Header}, "right behind a classifier"},
	} {
		var err error
		if f, ok := c.stage.(Fitter); ok {
			err = f.Fit(ctx, c.rows, nil)
		} else {
			_, err = c.stage.Open(c.rows.Header)
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T %+v: %v; want %q", c.stage, c.stage, err, c.want)
		}
	}
	// A model and a stream that do not fit.
	ts := learn(t, &TangentSpace{}, cov)
	if _, err := ts.Open(covarianceHeader(3)); err == nil || !strings.Contains(err.Error(), "trained on 10 rows") {
		t.Errorf("fewer channels: %v", err)
	}
	other := covarianceHeader(4)
	other.Channels[0].Label = "cov X X"
	if _, err := ts.Open(other); err == nil || !strings.Contains(err.Error(), `"cov X X"`) {
		t.Errorf("another channel: %v", err)
	}
}

// Hostile model files never panic and never load half.
func FuzzClassicalModels(f *testing.F) {
	fitters := classicalFitters()
	var names []string
	for name := range fitters {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		s := fitters[name].fresh()
		if err := s.Fit(context.Background(), fitters[name].rows, nil); err != nil {
			f.Fatal(err)
		}
		raw, err := s.SaveModel()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, []byte(raw))
		f.Add(i, []byte(strings.Replace(string(raw), `[[`, `[[1e999,`, 1)))
		f.Add(i, []byte(strings.Replace(string(raw), `,`, `,null,`, 9)))
	}
	f.Fuzz(func(t *testing.T, i int, raw []byte) {
		if i < 0 || i >= len(names) {
			return
		}
		e := fitters[names[i]]
		s := e.fresh()
		if err := s.LoadModel(json.RawMessage(raw)); err != nil {
			return
		}
		out, err := s.Open(e.rows.Header.Clone())
		if err != nil {
			return
		}
		h := e.rows.Header
		src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
		src.Resize(1)
		src.SetColumn(0, e.rows.X[0])
		s.Process(dst, src)
		if y := dst.Column(nil, 0); !allFinite(y) {
			t.Fatalf("%s puts out %v", names[i], y)
		}
	})
}

func TestGateVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Case  string
			Input struct {
				Decisions  [][]float64
				UseDataOf  string `json:"use_data_of"`
				Dwell      int
				Refractory float64
				Confidence float64 `json:"confidence_min"`
			}
			Expected struct{ Commands [][]float64 }
		}
	}
	readJSON(t, "../replay/testdata/event_scoring.json", &v)
	data := map[string][][]float64{}
	for _, c := range v.Cases {
		t.Run(c.Case, func(t *testing.T) {
			d := c.Input.Decisions
			if c.Input.UseDataOf != "" {
				d = data[c.Input.UseDataOf]
			}
			data[c.Case] = d
			classes := 0
			for _, x := range d {
				classes = max(classes, int(x[1])+1)
			}
			// Each decision becomes a column whose winner has its confidence; what is
			// left goes to a row that is no class.
			h := probabilityHeader([]string{"idle", "a", "b", "c"}[:max(2, classes)]...)
			h.Channels = append(h.Channels, stream.Channel{Label: "age", Type: "health"})
			h.Rate = 1 / (d[1][0] - d[0][0])
			g := &Gate{Threshold: c.Input.Confidence, Dwell: c.Input.Dwell, Refractory: c.Input.Refractory, Idle: "idle"}
			var x [][]float64
			for _, y := range d {
				p := make([]float64, len(h.Channels))
				for k := range len(p) - 1 {
					p[k] = -1
				}
				p[int(y[1])] = y[2]
				x = append(x, p)
			}
			var got [][]float64
			for i, row := range outputs(t, g, h, x) {
				if k := row[len(row)-1]; k >= 0 {
					got = append(got, []float64{d[i][0], k})
				}
				if !slices.Equal(row[:len(row)-2], x[i]) {
					t.Fatalf("column %d: rows changed", i)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.Expected.Commands) {
				t.Errorf("commands %v, want %v", got, c.Expected.Commands)
			}
		})
	}
}

// Recentring does what it is for: after it, the mean of the matrices is the identity,
// and an invertible mixing of the channels (another session) leaves distances alone.
func TestRecentre(t *testing.T) {
	rows := covarianceRows(20, 1500, 4)
	n := 4
	s := newSPD(n)
	r := &Recentre{Every: 0.1, Memory: 1000}
	got := outputs(t, r, rows.Header, rows.X)
	mean, err := s.mean(context.Background(), matrices(got[1000:], n), nil, Riemann, 1e-10, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := s.distance(dense.Identity(n), mean); d > 0.05 {
		t.Errorf("after recentring the mean is %v from the identity", d)
	}
	mix, m := dense.New(n, n), dense.New(n, n)
	g := rand.New(rand.NewPCG(3, 3))
	for i := range mix.V {
		mix.V[i] = g.NormFloat64()
	}
	for i := range n {
		mix.V[i*n+i] += 4
	}
	other := make([][]float64, len(rows.X))
	for i, x := range rows.X {
		symmetric(m, x)
		s.congruence(m, mix, m)
		other[i] = make([]float64, len(x))
		upperTriangle(other[i], m)
	}
	r.Every = 1
	got = outputs(t, r, rows.Header, rows.X)
	moved := outputs(t, r, rows.Header, other)
	a, b := matrices(got, n), matrices(moved, n)
	// Between two updates of the mean; an update turns the two sessions differently.
	for i := 500; i < 600; i++ {
		if (i+1)%10 == 0 {
			continue
		}
		x, y := s.distance(a[i], a[i+1]), s.distance(b[i], b[i+1])
		if math.Abs(x-y) > 1e-6*x {
			t.Fatalf("distance %d is %v in one session and %v in the other", i, x, y)
		}
	}
}

// The elastic net satisfies its optimality conditions, and keeps fewer weights as the
// absolute values weigh more.
func TestElasticNet(t *testing.T) {
	rows := featureRows(30, 80, 12, 2)
	last := 13
	for _, ratio := range []float64{0.1, 0.5, 1} {
		l := learn(t, &Logistic{C: 0.05, Penalty: "elasticnet", L1Ratio: ratio}, rows)
		w := l.model.Weights[0]
		p := newLogisticProblem(rows.X, rows.Y, 2, 0.05, true)
		v := append(slices.Clone(w), l.model.Intercept[0])
		p.value(v)
		grad := make([]float64, len(v))
		p.gradient(grad)
		p.penalty(grad, v, 1-ratio)
		left := 0
		for j, x := range w {
			if x != 0 {
				left++
				if math.Abs(grad[j]+math.Copysign(ratio, x)) > 1e-6 {
					t.Errorf("ratio %v: slope %v at weight %v", ratio, grad[j], x)
				}
			} else if math.Abs(grad[j]) > ratio+1e-6 {
				t.Errorf("ratio %v: slope %v at a zero weight", ratio, grad[j])
			}
		}
		if math.Abs(grad[len(w)]) > 1e-6 {
			t.Errorf("ratio %v: slope %v of the intercept", ratio, grad[len(w)])
		}
		if left > last || left == 0 {
			t.Errorf("ratio %v keeps %d weights, a smaller one kept %d", ratio, left, last)
		}
		last = left
	}
	if last > 11 {
		t.Errorf("the lasso keeps %d of 12 weights", last)
	}
}

// Two levels are two fits: idle against the rest, and the rest without idle.
func TestLogisticTwoLevels(t *testing.T) {
	rows := featureRows(31, 90, 5, 3)
	both := learn(t, &Logistic{Idle: "left", C: 2, IdleC: 0.3}, rows)
	active := *rows
	active.Y, active.Classes = nil, []string{"idle", "active"}
	for _, y := range rows.Y {
		k := 1
		if y == 1 {
			k = 0
		}
		active.Y = append(active.Y, k)
	}
	inner, err := rows.only([]string{"rest", "right"})
	if err != nil {
		t.Fatal(err)
	}
	a := outputs(t, learn(t, &Logistic{C: 0.3}, &active), rows.Header, rows.X)
	b := outputs(t, learn(t, &Logistic{C: 2}, inner), rows.Header, rows.X)
	for i, p := range outputs(t, both, rows.Header, rows.X) {
		nearby(t, "probabilities", p, []float64{a[i][1] * b[i][0], a[i][0], a[i][1] * b[i][1]}, 1e-12, 0)
	}
}

func TestSmoothAverages(t *testing.T) {
	h := probabilityHeader("a", "b")
	var x [][]float64
	for range 100 {
		x = append(x, []float64{0.8, 0.2})
	}
	for range 10 {
		x = append(x, []float64{0.2, 0.8})
	}
	p := outputs(t, &Smooth{Seconds: 1}, h, x)
	nearby(t, "settled", p[99], []float64{0.8, 0.2}, 1e-12, 0)
	// One second later the old evidence weighs 1/e: log-odds ln 4 (2/e - 1).
	e := math.Log(4) * (2/math.E - 1)
	nearby(t, "a second later", p[109], []float64{sigmoid(e), sigmoid(-e)}, 1e-12, 0)
}

func benchmarkStage(b *testing.B, s stream.Stage, h stream.Header, x []float64) {
	out, err := s.Open(h)
	if err != nil {
		b.Fatal(err)
	}
	src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	src.Resize(1)
	src.SetColumn(0, x)
	b.ReportAllocs()
	for b.Loop() {
		s.Process(dst, src)
	}
}

// The cost of one column: the price of a window in the latency budget.
func BenchmarkClassical(b *testing.B) {
	for _, n := range []int{21, 64} {
		rows := covarianceRows(1, 12, n)
		b.Run(fmt.Sprintf("tangent/%d", n), func(b *testing.B) {
			benchmarkStage(b, learn(b, &TangentSpace{}, rows), rows.Header, rows.X[0])
		})
		b.Run(fmt.Sprintf("recentre/%d", n), func(b *testing.B) {
			benchmarkStage(b, &Recentre{}, rows.Header, rows.X[0])
		})
		b.Run(fmt.Sprintf("csp/%d", n), func(b *testing.B) {
			benchmarkStage(b, learn(b, &CSP{}, rows), rows.Header, rows.X[0])
		})
		a := dense.New(n, n)
		symmetric(a, rows.X[0])
		b.Run(fmt.Sprintf("eigen/%d/ql", n), func(b *testing.B) {
			e := newSymEigen(n)
			for b.Loop() {
				e.decompose(a)
			}
		})
		b.Run(fmt.Sprintf("eigen/%d/jacobi", n), func(b *testing.B) {
			c, v := dense.New(n, n), dense.New(n, n)
			for b.Loop() {
				c.Copy(a)
				dense.Eigen(c, v)
			}
		})
	}
	rows := featureRows(1, 30, 231, 3)
	b.Run("logistic/231", func(b *testing.B) {
		benchmarkStage(b, learn(b, &Logistic{Idle: "rest"}, rows), rows.Header, rows.X[0])
	})
}
