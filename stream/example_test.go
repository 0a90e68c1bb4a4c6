package stream_test

import (
	"context"
	"fmt"
	"io"

	"neurostream/stream"
)

// Rectify is a whole stage: it takes the absolute value of every sample. It has no
// settings and no memory, so Open passes the header on and Reset has nothing to do.
type Rectify struct{}

func (Rectify) Open(in stream.Header) (stream.Header, error) { return in, nil }
func (Rectify) Reset()                                       {}

func (Rectify) Process(dst, src *stream.Chunk) {
	dst.Follow(src) // length, times, flags, markers, events
	for k := range dst.Tiles() {
		out := dst.Tile(k)
		for i, v := range src.Tile(k) {
			for l, x := range v { // eight channels side by side
				if x < 0 {
					x = -x
				}
				out[i][l] = x
			}
		}
	}
}

// A chain is opened once and then costs a call per stage.
func ExampleChain() {
	in := stream.Header{Name: "demo", Rate: 250, MaxLen: 4, Channels: []stream.Channel{{Label: "C3"}, {Label: "C4"}}}
	chain := stream.Chain{Links: []stream.Link{{Name: "rectify", Stage: Rectify{}}}}
	out, err := chain.Open(in)
	if err != nil {
		fmt.Println(err)
		return
	}
	src, dst := stream.NewChunk(&in), stream.NewChunk(&out)
	src.Resize(4)
	src.Seq = 1000
	src.SetRow(0, []float64{1, -2, 3, -4})
	src.SetRow(1, []float64{-5, 6, -7, 8})
	chain.Process(dst, src)
	fmt.Println(dst.Seq, dst.Row(nil, 0), dst.Row(nil, 1))
	// Output: 1000 [1 2 3 4] [5 6 7 8]
}

// A ring joins two goroutines. The writer fills a slot and commits it; the reader
// looks at it and releases it. No sample is copied.
func ExampleRing() {
	h := stream.Header{Name: "demo", Rate: 250, MaxLen: 1, Channels: []stream.Channel{{Label: "C3"}}}
	ring := stream.NewRing(&h, 4)
	ctx := context.Background()
	go func() {
		for i := range 10 {
			slot, err := ring.ReserveWait(ctx) // a live source uses Reserve, which never waits
			if err != nil {
				return
			}
			slot.Clear()
			slot.Resize(1)
			slot.Set(0, 0, float64(i))
			ring.Commit(1)
		}
		ring.Close(nil)
	}()
	sum := 0.0
	for {
		n, err := ring.Wait(ctx)
		if err == io.EOF {
			break
		} else if err != nil {
			fmt.Println(err)
			return
		}
		for i := range n {
			sum += ring.At(i).At(0, 0)
		}
		ring.Release(n)
	}
	fmt.Println(sum)
	// Output: 45
}

// A history gives the newest columns as one contiguous window, however they came.
func ExampleHistory() {
	h := stream.Header{Name: "demo", Rate: 250, MaxLen: 3, Channels: []stream.Channel{{Label: "C3"}}}
	history := stream.NewHistory(1, 4)
	chunk := stream.NewChunk(&h)
	for seq := int64(0); seq < 9; seq += 3 {
		chunk.Resize(3)
		chunk.Seq = seq
		chunk.SetRow(0, []float64{float64(seq), float64(seq + 1), float64(seq + 2)})
		history.Push(chunk, 0, chunk.Len)
	}
	w := history.Last(4)
	fmt.Println(w.Seq, w.Row(nil, 0))
	// Output: 5 [5 6 7 8]
}

// A test moves the clock; nothing sleeps.
func ExampleManual() {
	clock := new(stream.Manual)
	timer := clock.Timer(context.Background())
	defer timer.Stop()
	done := make(chan stream.Time)
	go func() {
		if err := timer.Wait(3e9); err == nil {
			done <- clock.Now()
		}
	}()
	clock.Set(5e9)
	fmt.Println((<-done).Seconds(), "s")
	// Output: 5 s
}
