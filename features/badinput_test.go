package features

import (
	"strings"
	"testing"
)

// TestBadSettings: what cannot be computed is refused in one line that says what to do.
// The stream has four channels at 100 Hz, the window is 1 s, the hop 0.1 s.
func TestBadSettings(t *testing.T) {
	alpha := []Band{{"alpha", 8, 13}}
	of := func(b ...Band) []Band { return b }
	for _, c := range []struct {
		name string
		x    Extractor
		want string // contains the hint
	}{
		// a band narrower than a bin
		{"narrow band", &BandPower{Bands: of(Band{Low: 10.2, High: 10.8})}, "a segment of at least 1.67 s has one"},
		{"narrow band of a connectivity", &Connectivity{Bands: of(Band{Low: 10.2, High: 10.8}), Welch: Welch{Segment: 0.5}}, "bins are 2 Hz apart; a segment of at least 1.67 s has one"},
		{"narrow band of a network", &Network{Of: Connectivity{Bands: of(Band{Low: 10.2, High: 10.8}), Welch: Welch{Segment: 0.5}}}, "a segment of at least 1.67 s has one"},
		{"narrow range", &PSD{Low: 10.2, High: 10.8}, "bins are 1 Hz apart"},
		{"one bin", &SpectralShape{Low: 9.9, High: 10.1}, "at least two"},
		{"two bins for a line", &Aperiodic{Low: 10, High: 11}, "at least 3"},
		// a window shorter than two periods of the lowest band
		{"long period", &BandPower{Bands: of(Band{Low: 1, High: 4})}, "it needs at least 2 s"},
		{"long period of a connectivity", &Connectivity{Bands: of(Band{Low: 1.5, High: 8}), Welch: Welch{Segment: 0.5}}, "it needs at least 1.333 s"},
		{"long period of a model", &Directed{Order: 2, Bands: of(Band{Low: 1, High: 8})}, "it needs at least 2 s"},
		{"long period of a change", &Change{Bands: of(Band{Low: 0.5, High: 4})}, "it needs at least 4 s"},
		// bands and frequencies beyond Nyquist, swapped or absent
		{"beyond", &BandPower{Bands: of(Band{Low: 30, High: 60})}, "a band ends at 50 Hz or below"},
		{"beyond, model", &Directed{Order: 2, Bands: of(Band{Low: 30, High: 60})}, "between 0 and 50 Hz"},
		{"swapped", &BandPower{Bands: of(Band{Low: 13, High: 8})}, "below the upper one"},
		{"none", &BandPower{}, "name at least one"},
		{"no bands", &Connectivity{}, "name at least one"},
		{"tone", &Tones{Freqs: []float64{51}}, "between 0 and 50 Hz"},
		{"demodulation", &Demodulation{Freq: 50}, "between 0 and 50 Hz"},
		{"wide demodulation", &Demodulation{Freq: 5, Cutoff: 6}, "such as 1 Hz"},
		{"Burg", &Burg{High: 60}, "between 0 and 50 Hz"},
		// one segment makes every coherence 1
		{"K = 1", &Connectivity{Bands: alpha, Welch: Welch{Segment: 1}}, "one makes every coherence 1; shorten segment or step, or lengthen the window"},
		{"K = 1, network", &Network{Of: Connectivity{Bands: alpha, Welch: Welch{Segment: 1}}}, "one makes every coherence 1"},
		// too little for what is asked
		{"long segment", &PSD{Welch: Welch{Segment: 2}}, "longer than the window (1 s)"},
		{"odd segment", &PSD{Welch: Welch{Segment: 0.333}}, "the nearest is 0.33 s (33 samples)"},
		{"order", &Burg{Order: 60}, "allows 1 to 49"},
		{"model", &Directed{Order: 5, Bands: alpha}, "wants 200 samples (2 s), the window has 100"},
		{"model without order", &Directed{Bands: alpha}, "such as 5"},
		{"margin", &EnvelopeCorrelation{Margin: 0.5}, "lengthen the window or shorten the margin"},
		{"few values", &EnvelopeCorrelation{Rate: 2}, "at least 3"},
		{"bandwidth", &Multitaper{Bandwidth: 0.5}, "a window of 1 s allows"},
		{"tau", &Power{}, "such as 0.5 s"},
		{"baseline", &Change{Bands: alpha, Baseline: 0.01}, "at least one hop (0.1 s)"},
		// names
		{"measure", &Connectivity{Measure: "pvl", Bands: alpha, Welch: Welch{Segment: 0.5}}, "known are coherence, msc"},
		{"angle", &Connectivity{Measure: "phase", Bands: alpha, Welch: Welch{Segment: 0.5}}, "pooled"},
		{"seed", &Connectivity{Seeds: []string{"C3"}, Bands: alpha, Welch: Welch{Segment: 0.5}}, `no channel "C3"; there are E1`},
		{"channel", &Directed{Channels: []string{"C3", "E1"}, Order: 2, Bands: alpha}, `no channel "C3"; there are E1`},
		{"metric", &Network{Of: Connectivity{Bands: alpha, Welch: Welch{Segment: 0.5}}, Metrics: []string{"modularity"}}, "known are strength"},
		{"density", &Network{Of: Connectivity{Bands: alpha, Welch: Welch{Segment: 0.5}}, Density: 2}, "between 0 and 1"},
		{"slow demodulation", &PhaseConnectivity{Method: "demodulation", Freq: 10, Every: 3}, "every window"},
	} {
		_, err := (&Windows{Length: 1, Hop: 0.1, Extractors: []Extractor{c.x}}).Open(header(4, 100))
		switch {
		case err == nil:
			t.Errorf("%s: accepted", c.name)
		case strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %q does not say %q", c.name, err, c.want)
		}
	}
	if _, err := (&Windows{Length: 1, Hop: 0.1, Extractors: []Extractor{&Connectivity{Bands: alpha, Welch: Welch{Segment: 0.5}}}}).Open(header(1, 100)); err == nil || !strings.Contains(err.Error(), "at least two channels") {
		t.Errorf("one channel: %v", err)
	}
	if _, err := (&Windows{Length: 1, Hop: 0.1, Extractors: []Extractor{&Directed{Order: 1, Bands: alpha, Ratio: 1}}}).Open(header(40, 100)); err == nil || !strings.Contains(err.Error(), "name up to 32") {
		t.Errorf("40 channels in a model: %v", err)
	}
	h := header(2, 0)
	h.MaxLen = 1
	if _, err := (&Windows{Length: 1, Hop: 0.1, Extractors: []Extractor{&Hjorth{}}}).Open(h); err == nil || !strings.Contains(err.Error(), "regular rate") {
		t.Errorf("irregular stream: %v", err)
	}
}
