package decoders

import (
	"context"
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"neurostream/decoders/internal/dense"
)

// flint_run1_end_to_end.json: the whole way on a real recording, with the
// bandwidths of the vector. The recording's terms are not clear, so it is not part of
// this repository; the test looks for it in NEUROSTREAM_FLINT or beside the checkout.
func TestFlintVectors(t *testing.T) {
	dir := os.Getenv("NEUROSTREAM_FLINT")
	if dir == "" {
		dir = "../../shared/data/neural-decoding/flint2012-run1"
	}
	read := func(name string) (out [][]float64) {
		f, err := os.Open(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			t.Skipf("the recording is not here (%v); `bci flint` says where to get it, NEUROSTREAM_FLINT names its folder", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		lines, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			row := make([]float64, len(l))
			for i := range l {
				if row[i], err = strconv.ParseFloat(l[i], 64); err != nil {
					t.Fatal(err)
				}
			}
			out = append(out, row)
		}
		return out
	}
	x, z := read("x.csv"), read("z.csv")
	g := readGolden(t, "flint_run1_end_to_end")
	var rows [2]int
	g.in(t, "train_rows", &rows)
	trainX, trainZ := x[rows[0]:rows[1]], z[rows[0]:rows[1]]
	g.in(t, "test_rows", &rows)
	testX, testZ := x[rows[0]:rows[1]], z[rows[0]:rows[1]]
	scores := g.Tolerance["scores_abs"].(float64)
	check := func(path string, got [][]float64) {
		t.Helper()
		g.within(t, path+"/nrmse", NRMSE(got, testZ), scores, 0)
		g.within(t, path+"/maae", MAAE(got, testZ), scores, 0)
		g.within(t, path+"/r2", R2(got, testZ), scores, 0)
		g.within(t, path+"/corr", Correlation(got, testZ), scores, 0)
		g.want(t, path+"/first_5", got[:5])
		g.want(t, path+"/last", got[len(got)-1])
		sum := make([]float64, 2)
		for _, row := range got {
			sum[0], sum[1] = sum[0]+row[0], sum[1]+row[1]
		}
		g.want(t, path+"/sum", sum)
	}

	km, err := FitKalman(trainZ, trainX, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string][][]float64{"A": km.A, "W": km.W, "H": km.H, "S": km.S} {
		g.want(t, "kalman/"+name, v)
	}
	kt, err := km.Filter(testX, KalmanJoseph, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := 0.0
	for _, v := range kt.LogLikelihood {
		l += v
	}
	g.want(t, "kalman/log_likelihood_sum", l)
	check("kalman/score", kt.Mean)

	// f on seven of ten rows for the residuals, on all for the test; Q on the others
	var fx, fz, qx, qz [][]float64
	for i := range trainX {
		if i%10 < 7 {
			fx, fz = append(fx, trainX[i]), append(fz, trainZ[i])
		} else {
			qx, qz = append(qx, trainX[i]), append(qz, trainZ[i])
		}
	}
	var sf, sq float64
	g.in(t, "f_bandwidth", &sf)
	g.in(t, "q_bandwidth", &sq)
	kernel := func(x, z [][]float64, s2 float64) *NadarayaWatson {
		k := &NadarayaWatson{Bandwidth: s2}
		if err := k.Fit(context.Background(), x, z, nil); err != nil {
			t.Fatal(err)
		}
		return k
	}
	f := kernel(fx, fz, sf)
	for i := range qx {
		e := make([]float64, 2)
		f.Predict(e, qx[i])
		qz[i] = []float64{qz[i][0] - e[0], qz[i][1] - e[1]}
	}
	outer, constant := outerProducts(qz)
	g.want(t, "constant_Q", constant.Rows())
	f = kernel(trainX, trainZ, sf)
	q := kernel(qx, outer, sq)
	var fs [][]float64
	var qs [][][]float64
	for i := range testX {
		e, m := make([]float64, 2), dense.New(2, 2)
		f.Predict(e, testX[i])
		q.Predict(m.V, testX[i])
		fs, qs = append(fs, e), append(qs, m.Rows())
	}
	check("nw_unfiltered", fs)
	g.want(t, "Q_at_first_test_row", qs[0])
	dm, err := FitDKFModel(trainZ, nil)
	if err != nil {
		t.Fatal(err)
	}
	run := func(name, mode, rule string, q [][][]float64) *DKFTrace {
		tr, err := dm.Filter(fs, q, mode, rule, false)
		if err != nil {
			t.Fatal(err)
		}
		check("results/dkf_nw_"+name, tr.Mean)
		return tr
	}
	for _, rule := range []string{FallbackPaper, FallbackReleased, FallbackClip} {
		tr := run(rule, DKFStandard, rule, qs)
		g.exact(t, "results/dkf_nw_"+rule+"/fallback_count", len(steps(tr.Fallback)))
	}
	run("robust", DKFRobust, "", qs)
	run("constant_q", DKFStandard, "", [][][]float64{constant.Rows()})
	run("constant_q_robust", DKFRobust, "", [][][]float64{constant.Rows()})

	// f and Q of the Kalman model make the filter a Kalman filter: fresh start at N(0,S)
	k, err := newKalman(km, "")
	if err != nil {
		t.Fatal(err)
	}
	exact, li, si := dense.New(2, 2), dense.New(2, 2), dense.New(2, 2)
	dense.SPDInverse(si, li, k.s)
	dense.Add(si, si, 1, k.htrih)
	dense.SPDInverse(exact, li, si)
	lin, b := make([][]float64, len(testX)), make([]float64, 2)
	for i := range testX {
		lin[i] = make([]float64, 2)
		dense.MulVec(b, k.htri, testX[i])
		dense.MulVec(lin[i], exact, b)
	}
	tr, err := (&DKFModel{km.A, km.W, km.S}).Filter(lin, [][][]float64{exact.Rows()}, DKFStandard, "", true)
	if err != nil {
		t.Fatal(err)
	}
	ktr, err := km.Filter(testX, "", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := RMSE(tr.Mean, ktr.Mean); d > 1e-14 {
		t.Errorf("the DKF with f and Q of the Kalman filter differs from it by %v", d)
	}
}
