package decoders

import (
	"testing"

	"neurostream/stream"
)

// benchmarkColumn measures one column through a fitted stage, as a live stream brings it.
func benchmarkColumn(b *testing.B, f Fitter, rows *Rows) {
	b.Helper()
	if err := f.Fit(b.Context(), rows, nil); err != nil {
		b.Fatal(err)
	}
	out, err := f.Open(rows.Header)
	if err != nil {
		b.Fatal(err)
	}
	src, dst := stream.NewChunk(&rows.Header), stream.NewChunk(&out)
	src.Resize(1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		src.Seq = int64(i)
		src.SetColumn(0, rows.X[i%len(rows.X)])
		f.Process(dst, src)
	}
}

// One step of every decoder of kinematics: 96 features, two outputs.
func BenchmarkKinematics(b *testing.B) {
	rows := reach(1, 1500, 96)
	for _, c := range []struct {
		name string
		f    Fitter
	}{
		{"kalman", &Kalman{}},
		{"kalman-steady", &Kalman{Form: KalmanSteady}},
		{"dkf-mlp", &DKF{F: DKFMLP, Seed: 1}},
		{"dkf-linear", &DKF{F: DKFLinear}},
		{"dkf-gp-1000", &DKF{F: DKFGP, Points: 1000}},
		{"dkf-sparse-gp-200", &DKF{F: DKFSparseGP}},
		{"dkf-nw-1500", &DKF{F: DKFNW}},
		{"dkf-nw-kernel-q", &DKF{F: DKFNW, Mode: DKFStandard, Q: "kernel"}},
		{"dkf-mk-octants", &DKF{F: DKFMKGP, Octants: true, Points: 300}},
		{"dkf-snn-64", &DKF{F: DKFSNN, Epochs: 1, Seed: 1}},
	} {
		b.Run(c.name, func(b *testing.B) { benchmarkColumn(b, c.f, rows) })
	}
}
