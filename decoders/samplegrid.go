package decoders

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"neurostream/stream"
)

// TypeSample is the type of the rows of a window's samples: channel by channel, the
// oldest first, labelled "C3 @-0.996 s" by their time before the newest.
const TypeSample = "sample"

// A sampleGrid is the shape of a window: bands × channels × samples. Value t of channel
// c in band b is row (b·channels + c)·length + t.
type sampleGrid struct {
	Bands  int      `json:"bands"`
	Names  []string `json:"channels"` // of all bands
	Length int      `json:"length"`   // values per channel
	rate   float64  // values per second; 0 = one value
}

func (g *sampleGrid) channels() int { return len(g.Names) / g.Bands }
func (g *sampleGrid) rows() int     { return len(g.Names) * g.Length }

// channel returns the values of channel c in band b.
func (g *sampleGrid) channel(x []float64, b, c int) []float64 {
	at := (b*g.channels() + c) * g.Length
	return x[at : at+g.Length : at+g.Length]
}

func (g *sampleGrid) validate(rows int) error {
	if g.Bands < 1 || g.Length < 1 || len(g.Names) == 0 || len(g.Names) > rows || g.Length > rows || len(g.Names)%g.Bands != 0 || g.rows() != rows {
		return fmt.Errorf("the model speaks of %d channels in %d bands with %d samples each, but has %d rows", len(g.Names), g.Bands, g.Length, rows)
	}
	return nil
}

// samplesOf finds the shape of a stream of windows; bands says into how many blocks a
// filter bank has multiplied the channels.
func samplesOf(h *stream.Header, bands int) (sampleGrid, error) {
	if bands == 0 {
		bands = 1
	}
	g := sampleGrid{Bands: bands}
	var times []string // of the first channel
	for i, ch := range h.Channels {
		if ch.Type != TypeSample {
			return g, fmt.Errorf("row %d (%s) is of type %q, not %q; put window: {features: [samples]} before this stage", i+1, ch.Label, ch.Type, TypeSample)
		}
		cut := strings.LastIndex(ch.Label, " @")
		if cut < 0 {
			return g, fmt.Errorf("row %d is %q where a sample (\"C3 @-0.5 s\") is expected", i+1, ch.Label)
		}
		name, time := ch.Label[:cut], ch.Label[cut+2:]
		if len(g.Names) == 0 || g.Names[len(g.Names)-1] != name {
			g.Names = append(g.Names, name)
		}
		if len(g.Names) == 1 {
			times = append(times, time)
		} else if time != times[i%len(times)] || len(g.Names) != i/len(times)+1 {
			return g, fmt.Errorf("row %d is %q: the rows are no windows of equal length, channel by channel", i+1, ch.Label)
		}
	}
	g.Length = len(times)
	if g.Length == 0 || g.rows() != len(h.Channels) {
		return g, fmt.Errorf("%d rows are no window of whole channels", len(h.Channels))
	}
	if bands < 1 || len(g.Names)%bands != 0 {
		return g, fmt.Errorf("bands %d: %d channels do not divide into them; give as many as the filter-bank has", bands, len(g.Names))
	}
	if g.Length > 1 {
		first, err := strconv.ParseFloat(strings.TrimSuffix(times[0], " s"), 64)
		if err != nil || !(first < 0) || math.IsInf(first, 0) {
			return g, fmt.Errorf("row 1 is %q, which names no time before the newest sample", h.Channels[0].Label)
		}
		g.rate = float64(g.Length-1) / -first
	}
	return g, nil
}

// bandWeights are those of filter-bank detectors: a_m = m^-1.25 + 0.25 (Chen et al.
// 2015), for bands in the order of their lower edges.
func bandWeights(bands int) []float64 {
	w := make([]float64, bands)
	for m := range w {
		w[m] = math.Pow(float64(m+1), -1.25) + 0.25
	}
	return w
}
