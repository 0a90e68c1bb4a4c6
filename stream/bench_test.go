package stream

import (
	"context"
	"fmt"
	"testing"
)

// The pairs below argue for the design: a ring against channels for small messages
// and for chunks, and a fused chain against a goroutine per stage. One operation is
// one message, chunk or pass. Run them with
//
//	go test -run '^$' -bench 'Message|Handover|Hop' -count 5 ./stream

// message is 64 bytes: what a channel can carry by value.
type message [8]float64

const batch = 32

// one is a stream of chunks of a single column and channel: 64 bytes, as a message.
func one() *Header { return header(1, 1) }

func BenchmarkMessage(b *testing.B) {
	b.Run("ring", func(b *testing.B) {
		r := NewRing(one(), 1024)
		ctx := context.Background()
		go func() {
			for i := range b.N {
				c, err := r.ReserveWait(ctx)
				if err != nil {
					return
				}
				c.Resize(1)
				c.Tile(0)[0][0] = float64(i)
				r.Commit(1)
			}
			r.Close(nil)
		}()
		drain(b, r)
	})
	b.Run("ring batch 32", func(b *testing.B) {
		r := NewRing(one(), 1024)
		ctx := context.Background()
		go func() {
			for i := 0; i < b.N; {
				if _, err := r.ReserveWait(ctx); err != nil {
					return
				}
				n := min(r.Free(batch), batch, b.N-i)
				for k := range n {
					c := r.Slot(k)
					c.Resize(1)
					c.Tile(0)[0][0] = float64(i + k)
				}
				r.Commit(n)
				i += n
			}
			r.Close(nil)
		}()
		drain(b, r)
	})
	for name, size := range map[string]int{"buffered channel": 1024, "unbuffered channel": 0} {
		b.Run(name, func(b *testing.B) {
			c := make(chan message, size)
			go func() {
				for i := range b.N {
					c <- message{float64(i)}
				}
				close(c)
			}()
			var sum float64
			for m := range c {
				sum += m[0]
			}
			check(b, sum)
		})
	}
	b.Run("buffered channel batch 32", func(b *testing.B) {
		c, free := make(chan []message, 32), make(chan []message, 34)
		for range cap(free) {
			free <- make([]message, 0, batch)
		}
		go func() {
			for i := 0; i < b.N; {
				s := (<-free)[:0]
				for ; len(s) < batch && i < b.N; i++ {
					s = append(s, message{float64(i)})
				}
				c <- s
			}
			close(c)
		}()
		var sum float64
		for s := range c {
			for i := range s {
				sum += s[i][0]
			}
			free <- s
		}
		check(b, sum)
	})
}

// drain reads everything and checks that it was everything.
func drain(b *testing.B, r *Ring) {
	var sum float64
	for {
		n, err := r.Wait(context.Background())
		if err != nil {
			break
		}
		for i := range n {
			sum += r.At(i).Tile(0)[0][0]
		}
		r.Release(n)
	}
	check(b, sum)
}

func check(b *testing.B, sum float64) {
	if want := float64(b.N) * float64(b.N-1) / 2; sum != want {
		b.Fatalf("messages add up to %v, want %v", sum, want)
	}
}

// BenchmarkHandover passes chunks of 64 channels × 40 columns, written and read.
func BenchmarkHandover(b *testing.B) {
	h := header(64, 40)
	fill := func(c *Chunk, i int) {
		c.Resize(40)
		for k := range c.Tiles() {
			for j := range c.Tile(k) {
				c.Tile(k)[j][0] = float64(i)
			}
		}
	}
	read := func(c *Chunk) (sum float64) {
		for k := range c.Tiles() {
			for j := range c.Tile(k) {
				sum += c.Tile(k)[j][0]
			}
		}
		return sum / 320
	}
	b.Run("ring", func(b *testing.B) {
		r := NewRing(h, 16)
		go func() {
			for i := range b.N {
				c, err := r.ReserveWait(context.Background())
				if err != nil {
					return
				}
				fill(c, i)
				r.Commit(1)
			}
			r.Close(nil)
		}()
		var sum float64
		for {
			n, err := r.Wait(context.Background())
			if err != nil {
				break
			}
			for i := range n {
				sum += read(r.At(i))
			}
			r.Release(n)
		}
		check(b, sum)
	})
	for name, size := range map[string]int{"buffered channels": 16, "unbuffered channels": 0} {
		b.Run(name, func(b *testing.B) {
			full, free := make(chan *Chunk, size), make(chan *Chunk, 16)
			for range 16 {
				free <- NewChunk(h)
			}
			go func() {
				for i := range b.N {
					c := <-free
					fill(c, i)
					full <- c
				}
				close(full)
			}()
			var sum float64
			for c := range full {
				sum += read(c)
				free <- c
			}
			check(b, sum)
		})
	}
}

// pass does next to nothing, so that the hop itself is measured.
type pass struct{}

func (pass) Open(in Header) (Header, error) { return in, nil }
func (pass) Reset()                         {}
func (pass) Process(dst, src *Chunk) {
	dst.Follow(src)
	dst.Tile(0)[0][0] = src.Tile(0)[0][0] + 1
}

// BenchmarkHop sends one chunk through eight stages and waits for it, as a live
// source does: fused into one chain, or one goroutine per stage with rings between.
func BenchmarkHop(b *testing.B) {
	const stages = 8
	h := header(8, 1)
	b.Run("fused chain", func(b *testing.B) {
		c := new(Chain)
		for i := range stages {
			c.Links = append(c.Links, Link{fmt.Sprint(i), pass{}})
		}
		out, err := c.Open(*h)
		if err != nil {
			b.Fatal(err)
		}
		src, dst := filled(8, 1, 0), NewChunk(&out)
		for b.Loop() {
			c.Process(dst, src)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/stages, "ns/hop")
	})
	b.Run("goroutines", func(b *testing.B) {
		rings := make([]*Ring, stages+1)
		for i := range rings {
			rings[i] = NewRing(h, 4)
		}
		ctx := context.Background()
		for i := range stages {
			go func() {
				in, out := rings[i], rings[i+1]
				for {
					if _, err := in.Wait(ctx); err != nil {
						out.Close(nil)
						return
					}
					c, err := out.ReserveWait(ctx)
					if err != nil {
						return
					}
					pass{}.Process(c, in.At(0))
					in.Release(1)
					out.Commit(1)
				}
			}()
		}
		src := filled(8, 1, 0)
		for b.Loop() {
			c, err := rings[0].ReserveWait(ctx)
			if err != nil {
				b.Fatal(err)
			}
			c.CopyFrom(src)
			rings[0].Commit(1)
			if _, err := rings[stages].Wait(ctx); err != nil {
				b.Fatal(err)
			}
			rings[stages].Release(1)
		}
		rings[0].Close(nil)
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/stages, "ns/hop")
	})
}

// BenchmarkHistory pushes 40 columns of 64 channels into 2 s at 160 Hz.
func BenchmarkHistory(b *testing.B) {
	h := NewHistory(64, 320)
	c := filled(64, 40, 0)
	for b.Loop() {
		h.Push(c, 0, 40)
		c.Seq += 40
	}
}
