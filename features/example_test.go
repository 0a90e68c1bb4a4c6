package features_test

import (
	"fmt"
	"math"
	"strings"

	"neurostream/features"
	"neurostream/stream"
)

// sines is a stream of two channels at 100 Hz: a 10 Hz sine of 2 uV, and the same a
// quarter period later with a 20 Hz sine on top.
func sines(columns int) (stream.Header, *stream.Chunk) {
	h := stream.Header{Name: "example", Rate: 100, MaxLen: columns, Channels: []stream.Channel{{Label: "C3", Unit: "uV", Type: "EEG"}, {Label: "C4", Unit: "uV", Type: "EEG"}}}
	c := stream.NewChunk(&h)
	c.Resize(columns)
	for i := range columns {
		t := float64(i) / 100
		c.Set(0, i, 2*math.Sin(2*math.Pi*10*t))
		c.Set(1, i, 2*math.Sin(2*math.Pi*10*t-math.Pi/2)+math.Sin(2*math.Pi*20*t))
	}
	return h, c
}

// show prints the last column of a window of extractors.
func show(w *features.Windows) {
	h, src := sines(400)
	out, err := w.Open(h)
	if err != nil {
		fmt.Println(err)
		return
	}
	dst := stream.NewChunk(&out)
	w.Process(dst, src)
	for i, c := range out.Channels {
		v := math.Round(dst.At(i, dst.Len-1)*1000) / 1000
		fmt.Println(strings.TrimSpace(fmt.Sprintf("%s: %.3f %s", c.Label, v+0, c.Unit)))
	}
}

func ExampleWindows() {
	show(&features.Windows{Length: 1, Hop: 0.1, Extractors: []features.Extractor{
		&features.LogVariance{},
		&features.Hjorth{},
	}})
	// Output:
	// log-variance C3: 0.693 ln uV^2
	// log-variance C4: 0.916 ln uV^2
	// activity C3: 2.000 uV^2
	// activity C4: 2.500 uV^2
	// mobility C3: 0.615
	// mobility C4: 0.766
	// complexity C3: 1.015
	// complexity C4: 1.195
}

func ExampleBandPower() {
	show(&features.Windows{Length: 2, Hop: 0.1, Extractors: []features.Extractor{
		&features.BandPower{Bands: []features.Band{{Name: "alpha", Low: 8, High: 13}, {Name: "beta", Low: 13, High: 30}}, Scale: "linear"},
	}})
	// Output:
	// power C3 alpha: 2.000 uV^2
	// power C4 alpha: 2.000 uV^2
	// power C3 beta: 0.000 uV^2
	// power C4 beta: 0.500 uV^2
}

func ExamplePSD() {
	show(&features.Windows{Length: 2, Hop: 0.1, Extractors: []features.Extractor{
		&features.PSD{Low: 9, High: 11, Spectrum: true}, // a sine of amplitude a reads a^2/2
	}})
	// Output:
	// psd C3 9 Hz: 0.500 uV^2
	// psd C3 10 Hz: 2.000 uV^2
	// psd C3 11 Hz: 0.500 uV^2
	// psd C4 9 Hz: 0.500 uV^2
	// psd C4 10 Hz: 2.000 uV^2
	// psd C4 11 Hz: 0.500 uV^2
}

func ExampleSpectralShape() {
	show(&features.Windows{Length: 2, Hop: 0.1, Extractors: []features.Extractor{
		&features.SpectralShape{Which: []string{"peak", "edge", "centre"}},
	}})
	// Output:
	// spectral-peak C3: 10.000 Hz
	// spectral-peak C4: 10.000 Hz
	// spectral-edge C3: 11.000 Hz
	// spectral-edge C4: 20.000 Hz
	// spectral-centre C3: 10.000 Hz
	// spectral-centre C4: 12.000 Hz
}

func ExampleConnectivity() {
	for _, measure := range []string{"coherence", "imaginary", "wpli"} {
		show(&features.Windows{Length: 3, Hop: 0.1, Extractors: []features.Extractor{
			&features.Connectivity{Measure: measure, Bands: []features.Band{{Low: 9, High: 12}}},
		}})
	}
	// Output:
	// coherence C3-C4 9-12 Hz: 1.000
	// imaginary C3-C4 9-12 Hz: -1.000
	// wpli C3-C4 9-12 Hz: 1.000
}

func ExamplePhaseConnectivity() {
	show(&features.Windows{Length: 1, Hop: 1, Extractors: []features.Extractor{
		&features.PhaseConnectivity{Measure: "phase", Method: "demodulation", Freq: 10, Cutoff: 1},
	}})
	// Output:
	// phase C3-C4: -1.571 rad
}

func ExampleEnvelopeCorrelation() {
	show(&features.Windows{Length: 4, Hop: 1, Extractors: []features.Extractor{
		&features.EnvelopeCorrelation{Margin: 0.5}, // a constant envelope has no correlation: 0, marked
	}})
	// Output:
	// aec C3-C4: 0.000
}

func ExampleTones() {
	show(&features.Windows{Length: 0.5, Hop: 0.1, Extractors: []features.Extractor{
		&features.Tones{Freqs: []float64{10, 20}, Output: "amplitude"},
	}})
	// Output:
	// tone-amplitude C3 10 Hz: 2.000 uV
	// tone-amplitude C4 10 Hz: 2.000 uV
	// tone-amplitude C3 20 Hz: 0.000 uV
	// tone-amplitude C4 20 Hz: 1.000 uV
}

func ExampleDemodulation() {
	show(&features.Windows{Length: 1, Hop: 1, Extractors: []features.Extractor{&features.Demodulation{Freq: 10, Cutoff: 1}}})
	// Output:
	// demodulated-amplitude C3 10 Hz: 2.001 uV
	// demodulated-amplitude C4 10 Hz: 1.994 uV
}

func ExampleCovariance() {
	show(&features.Windows{Length: 1, Hop: 0.1, Extractors: []features.Extractor{&features.Covariance{KeepMean: true}}})
	// Output:
	// cov C3 C3: 2.000 uV^2
	// cov C3 C4: 0.000 uV^2
	// cov C4 C4: 2.500 uV^2
}

func ExampleSpectrum() {
	show(&features.Windows{Length: 1, Hop: 0.1, Extractors: []features.Extractor{
		&features.Spectrum{Low: 10, High: 10, Mode: "phase", Window: "boxcar"},
	}})
	// Output:
	// phase C3 10 Hz: -1.571 rad
	// phase C4 10 Hz: 3.142 rad
}

func ExampleSmooth() {
	show(&features.Windows{Length: 1, Hop: 0.1, Extractors: []features.Extractor{
		&features.Smooth{Of: &features.LogVariance{}, Tau: 2},
	}})
	// Output:
	// smooth log-variance C3: 0.693 ln uV^2
	// smooth log-variance C4: 0.916 ln uV^2
}

func ExampleGraph() {
	g := features.NewGraph(4) // a line of four nodes
	g.Set(0, 1, 0.8)
	g.Set(1, 2, 0.8)
	g.Set(2, 3, 0.8)
	degree := make([]float64, 4)
	g.Threshold = 0.5
	g.Degree(degree)
	fmt.Printf("degree %v, efficiency %.3f\n", degree, g.Efficiency(true))
	// Output:
	// degree [1 2 2 1], efficiency 0.722
}

func ExampleSeparability() {
	s := features.NewSeparability(2) // two cells: the first tells the classes apart
	for _, t := range []struct {
		class int
		cells []float64
	}{{0, []float64{1, 5}}, {1, []float64{3, 5.1}}, {0, []float64{1.2, 5.1}}, {1, []float64{3.1, 5}}} {
		if err := s.Add(t.class, t.cells); err != nil {
			fmt.Println(err)
		}
	}
	r2 := make([]float64, 2)
	if err := s.R2(r2, false); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%.3f %.3f\n", r2[0], r2[1])
	// Output:
	// 0.993 0.000
}
