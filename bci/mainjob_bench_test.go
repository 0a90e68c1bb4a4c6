package bci

import (
	"fmt"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// BenchmarkMainPipeline64ch1kHz is the demo's pipeline on 64 channels at 1 kHz, one
// chunk of 40 ms per operation; core% is the share of one core that real time takes.
func BenchmarkMainPipeline64ch1kHz(b *testing.B) {
	h := sample(b, "S007R12").Header()
	h = h.Clone()
	h.Rate, h.MaxLen = 1000, 40
	p := mainPipeline(b)
	links := p.Build()
	m := *trained(b)
	m.RateHz = 1000 // the covariances have the same size at any rate
	if err := m.install(p, links); err != nil {
		b.Fatal(err)
	}
	chain := stream.Chain{Links: links}
	out, err := chain.Open(h)
	if err != nil {
		b.Fatal(err)
	}
	fill := streamtest.Noise(&h, 1)
	src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
	src.Resize(40)
	col := make([]float64, h.Rows())
	for i := range 40 {
		fill(int64(i), col)
		src.SetColumn(i, col)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		chain.Process(dst, src)
		src.Seq += 40
		src.T0 += 40e6
	}
	b.ReportMetric(100*float64(b.Elapsed().Nanoseconds())/float64(b.N)/40e6, "core%")
}

// BenchmarkHandover compares ways to hand a chunk of 64 channels × 40 columns from one
// goroutine to another, per chunk.
func BenchmarkHandover(b *testing.B) {
	h := stream.Header{Name: "x", Rate: 1000, MaxLen: 40}
	for i := range 64 {
		h.Channels = append(h.Channels, stream.Channel{Label: fmt.Sprint(i)})
	}
	b.Run("ring", func(b *testing.B) {
		r := stream.NewRing(&h, 64)
		go func() {
			for range b.N {
				c, err := r.ReserveWait(b.Context())
				if err != nil {
					return
				}
				c.Resize(40)
				r.Commit(1)
			}
			r.Close(nil)
		}()
		for {
			n, err := r.Wait(b.Context())
			if err != nil {
				return
			}
			r.Release(n)
		}
	})
	for _, depth := range []int{64, 0} {
		b.Run(fmt.Sprintf("channel of %d", depth), func(b *testing.B) {
			full, free := make(chan *stream.Chunk, depth), make(chan *stream.Chunk, 65)
			for range 65 {
				free <- stream.NewChunk(&h)
			}
			go func() {
				for range b.N {
					c := <-free
					c.Resize(40)
					full <- c
				}
				close(full)
			}()
			for c := range full {
				free <- c
			}
		})
	}
}
