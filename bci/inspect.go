package bci

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/mjibson/go-dsp/spectral"
	"github.com/mjibson/go-dsp/window"

	"neurostream/recordings"
	"neurostream/stream"
)

// Inspection is what a recording holds, for a person deciding whether to trust it.
type Inspection struct {
	Name        string           `json:"name"`
	Format      string           `json:"format"`
	Start       *time.Time       `json:"start,omitempty"`
	RateHz      float64          `json:"rate_hz"`
	Columns     int64            `json:"columns"`
	Seconds     float64          `json:"seconds"`
	Fields      [][2]string      `json:"fields"`
	Skipped     []string         `json:"skipped"`
	Channels    []ChannelSummary `json:"channels"`
	Annotations []LabelSummary   `json:"annotations"`
	Gaps        []GapSummary     `json:"gaps"`
	// FrequenciesHz are the bins of every channel's Spectrum.
	FrequenciesHz []float64 `json:"frequencies_hz"`
}

// ChannelSummary describes one channel over the whole file.
type ChannelSummary struct {
	Label    string    `json:"label"`
	Type     string    `json:"type"`
	Unit     string    `json:"unit"`
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Mean     float64   `json:"mean"`
	SD       float64   `json:"sd"`
	Bad      int64     `json:"bad_samples"`     // marked unusable by the reader
	Flat     float64   `json:"flat_seconds"`    // longest stretch without any change
	Alpha    float64   `json:"alpha_power"`     // 8-13 Hz, Unit squared
	Mains    float64   `json:"mains_ratio_db"`  // at MainsHz against its neighbourhood
	MainsHz  float64   `json:"mains_hz"`        // 50 or 60, whichever is stronger; 0 above half the rate
	Spectrum []float64 `json:"spectrum_per_hz"` // Welch, 2-s Hann windows, half overlapping; Unit squared per Hz
}

// LabelSummary counts annotations of one label.
type LabelSummary struct {
	Label    string  `json:"label"`
	Count    int     `json:"count"`
	First    float64 `json:"first_s"`
	Last     float64 `json:"last_s"`
	Duration float64 `json:"median_duration_s"`
}

// GapSummary is a place where samples are missing.
type GapSummary struct {
	At      float64 `json:"at_s"`
	Seconds float64 `json:"seconds"`
}

// Inspect reads a whole recording, one channel's worth of memory at a time for each
// channel: 8 bytes a sample. progress may be nil.
func Inspect(name string, r recordings.Recording, progress func(done float64)) (*Inspection, error) {
	h := r.Header()
	info := r.Info()
	if r.Len()*int64(h.Rows()) > 1<<28 {
		return nil, fmt.Errorf("%s: %d samples are too many for whole-file spectra (limit %d); inspect a part of it", name, r.Len()*int64(h.Rows()), 1<<28)
	}
	in := &Inspection{
		Name: name, Format: info.Format, RateHz: h.Rate, Columns: r.Len(), Seconds: float64(r.Len()) / h.Rate,
		Fields: info.Fields, Skipped: slices.Clone(info.Skipped), Annotations: summarise(r.Annotations()), Gaps: []GapSummary{},
	}
	if in.Skipped == nil {
		in.Skipped = []string{}
	}
	if t := r.Start(); !t.IsZero() {
		in.Start = &t
	}
	for _, g := range r.Gaps() {
		in.Gaps = append(in.Gaps, GapSummary{At: float64(g.Column) / h.Rate, Seconds: g.Seconds})
	}
	data := make([][]float64, h.Rows())
	bad := make([]int64, h.Rows())
	c := stream.NewChunk(&h)
	for at := int64(0); at < r.Len(); at += int64(c.Len) {
		if err := r.ReadAt(c, at); errors.Is(err, io.EOF) || c.Len == 0 {
			break
		} else if err != nil {
			return nil, err
		}
		for ch := range data {
			for i := range c.Len {
				data[ch] = append(data[ch], c.At(ch, i))
				if c.IsBad(ch, i) {
					bad[ch]++
				}
			}
		}
		if progress != nil {
			progress(0.5 * float64(at) / float64(r.Len()))
		}
	}
	for ch := range data {
		s, f := summariseChannel(&h.Channels[ch], h.Rate, data[ch])
		s.Bad = bad[ch]
		in.Channels, in.FrequenciesHz = append(in.Channels, s), f
		if progress != nil {
			progress(0.5 + 0.5*float64(ch+1)/float64(len(data)))
		}
	}
	return in, nil
}

func summarise(all []recordings.Annotation) []LabelSummary {
	out := []LabelSummary{}
	durations := map[string][]float64{}
	for _, a := range all {
		i := slices.IndexFunc(out, func(s LabelSummary) bool { return s.Label == a.Label })
		if i < 0 {
			i = len(out)
			out = append(out, LabelSummary{Label: a.Label, First: a.Onset})
		}
		out[i].Count++
		out[i].Last = a.Onset
		durations[a.Label] = append(durations[a.Label], a.Duration)
	}
	for i := range out {
		d := durations[out[i].Label]
		slices.Sort(d)
		out[i].Duration = d[len(d)/2]
	}
	return out
}

func summariseChannel(c *stream.Channel, rate float64, x []float64) (ChannelSummary, []float64) {
	s := ChannelSummary{Label: c.Label, Type: c.Type, Unit: c.Unit}
	if len(x) == 0 {
		return s, nil
	}
	s.Min, s.Max = slices.Min(x), slices.Max(x)
	for _, v := range x {
		s.Mean += v / float64(len(x))
	}
	flat, longest := 0, 0
	for i := range x {
		if i > 0 && x[i] == x[i-1] {
			flat++
		} else {
			flat = 0
		}
		longest = max(longest, flat)
	}
	s.Flat = float64(longest) / rate
	centred := make([]float64, len(x))
	for i, v := range x {
		centred[i] = v - s.Mean
		s.SD += centred[i] * centred[i] / float64(len(x))
	}
	s.SD = math.Sqrt(s.SD)
	n := 2
	for float64(n) < 2*rate {
		n *= 2
	}
	if len(x) < n {
		return s, nil
	}
	// Pad must equal NFFT: go-dsp stretches the window over padding otherwise.
	p, f := spectral.Pwelch(centred, rate, &spectral.PwelchOptions{NFFT: n, Pad: n, Noverlap: n / 2, Window: window.Hann})
	s.Spectrum = p
	df := f[1] - f[0]
	for i := range f {
		if f[i] >= 8 && f[i] <= 13 {
			s.Alpha += p[i] * df
		}
	}
	for _, mains := range []float64{50, 60} {
		if mains+6 > rate/2 {
			continue
		}
		line, near, count := 0.0, 0.0, 0
		for i := range f {
			switch d := math.Abs(f[i] - mains); {
			case d <= 1:
				line = max(line, p[i])
			case d >= 2 && d <= 6:
				near += p[i]
				count++
			}
		}
		if near > 0 && line > 0 {
			if db := 10 * math.Log10(line/(near/float64(count))); s.MainsHz == 0 || db > s.Mains {
				s.Mains, s.MainsHz = db, mains
			}
		}
	}
	return s, f
}
