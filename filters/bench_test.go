package filters_test

import (
	"testing"
	"time"

	"neurostream/filters"
	"neurostream/stream"
)

// bench runs a stage over chunks of columns and reports how many times faster than the
// stream it is, and the samples a second (channels × columns).
func bench(b *testing.B, s stream.Stage, channels int, rate float64, columns int) {
	in := eeg(channels, rate)
	in.MaxLen = columns
	out, err := s.Open(in)
	if err != nil {
		b.Fatal(err)
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
	src.Resize(columns)
	for ch := range channels {
		for i := range columns {
			src.Set(ch, i, float64((i*7+ch*13)%23-11))
		}
	}
	least := time.Duration(1 << 62) // of a chunk: what an undisturbed core does
	b.ReportAllocs()
	for b.Loop() {
		start := time.Now()
		s.Process(dst, src)
		least = min(least, time.Since(start))
		src.Seq += int64(columns)
	}
	seconds := b.Elapsed().Seconds()
	b.ReportMetric(float64(b.N*columns)/rate/seconds, "x-realtime")
	b.ReportMetric(float64(b.N*channels*columns)/seconds/1e6, "Msamples/s")
	b.ReportMetric(float64(columns)/rate/least.Seconds(), "best-x-realtime")
}

// BenchmarkBank: eight bands of four sections each on 1024 channels at 30 kHz, on one
// core: real time is 1 or more.
func BenchmarkBank(b *testing.B) {
	bank := &filters.FilterBank{}
	for k := range 8 {
		lo := 4 * float64(k+1)
		bank.Bands = append(bank.Bands, filters.Band{Name: string(rune('a' + k)), Low: 40 * lo, High: 40 * (lo + 4)})
	}
	b.Run("1024ch-30kHz-8bands", func(b *testing.B) { bench(b, bank, 1024, 30000, 32) })
}

func BenchmarkStages(b *testing.B) {
	for name, s := range map[string]stream.Stage{
		"bandpass":     &filters.Bandpass{Low: 8, High: 30},
		"fir-413":      &filters.FIR{Kind: filters.BandPass, Low: 8, High: 30, Taps: 413},
		"fir-1651":     &filters.FIR{Kind: filters.BandPass, Low: 8, High: 30, Taps: 1651},
		"decimate-4":   &filters.Decimate{Factor: 4},
		"resample-500": &filters.Resample{Rate: 500},
		"car":          &filters.CommonAverage{},
		"quality":      &filters.Quality{Checks: []filters.Check{&filters.FlatLine{}, &filters.Saturation{}, &filters.Amplitude{}, &filters.LineNoise{}, &filters.Correlation{}, &filters.Pop{}}},
	} {
		b.Run(name, func(b *testing.B) { bench(b, s, 64, 1000, 32) })
	}
}
