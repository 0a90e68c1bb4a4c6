package features

import (
	"fmt"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// BenchmarkHop is the work of one 50 ms hop with windows of 1 s.
func BenchmarkHop(b *testing.B) {
	band := []Band{{Low: 8, High: 32}}
	w := Welch{Segment: 0.5, Step: 0.1}
	for _, c := range []struct {
		name string
		x    []Extractor
	}{
		{"psd", []Extractor{&PSD{Welch: Welch{Segment: 0.5, Step: 0.25}}}},
		{"coherence", []Extractor{&Connectivity{Bands: band, Welch: w}}},
		{"plv", []Extractor{&Connectivity{Measure: "plv", Bands: band, Welch: w}}},
		{"coherence+plv", []Extractor{&Connectivity{Bands: band, Welch: w}, &Connectivity{Measure: "plv", Bands: band, Welch: w}}},
		{"wpli", []Extractor{&Connectivity{Measure: "wpli", Bands: band, Welch: w}}},
		{"covariance", []Extractor{&Covariance{}}},
	} {
		for _, l := range []struct {
			channels int
			rate     float64
		}{{64, 500}, {64, 1000}, {256, 1000}} {
			b.Run(fmt.Sprintf("%s/%dch/%gHz", c.name, l.channels, l.rate), func(b *testing.B) {
				s := &Windows{Length: 1, Hop: 0.05, Extractors: c.x}
				h := header(l.channels, l.rate)
				h.MaxLen = int(l.rate / 20)
				out, err := s.Open(h)
				if err != nil {
					b.Fatal(err)
				}
				src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
				src.Resize(h.MaxLen)
				fill, column := streamtest.Noise(&h, 1), make([]float64, l.channels)
				for i := range src.Len {
					fill(int64(i), column)
					src.SetColumn(i, column)
				}
				step := func() { s.Process(dst, src); src.Seq += int64(src.Len) }
				for range 30 {
					step()
				}
				b.ReportAllocs()
				for b.Loop() {
					step()
				}
			})
		}
	}
}
