package filters_test

import (
	"fmt"
	"math"

	"neurostream/filters"
	"neurostream/stream"
)

// signal fills a chunk with a 10 Hz rhythm of 10 uV on an electrode offset of 20 mV.
func signal(in *stream.Header, columns int) *stream.Chunk {
	in.MaxLen = columns
	c := stream.NewChunk(in)
	c.Resize(columns)
	for ch := range in.Channels {
		for i := range columns {
			c.Set(ch, i, 20000+10*math.Sin(2*math.Pi*10*float64(i)/in.Rate))
		}
	}
	return c
}

func header(labels ...string) stream.Header {
	h := stream.Header{Name: "example", Rate: 250, MaxLen: 64}
	for _, l := range labels {
		h.Channels = append(h.Channels, stream.Channel{Label: l, Unit: "uV", Type: "EEG"})
	}
	return h
}

// A causal band-pass starts in the steady state, so the offset of the electrode does not
// ring.
func ExampleBandpass() {
	in := header("C3")
	src := signal(&in, 500)
	f := &filters.Bandpass{Low: 8, High: 30}
	out, err := f.Open(in)
	if err != nil {
		fmt.Println(err)
		return
	}
	dst := stream.NewChunk(&out)
	f.Process(dst, src)
	largest := 0.0
	for _, v := range dst.Row(nil, 0) {
		largest = max(largest, math.Abs(v))
	}
	fmt.Printf("delay %.0f ms, largest output %.0f uV\n", out.Delay*1000, largest)
	// Output: delay 37 ms, largest output 10 uV
}

// The lowest order that loses at most 1 dB from 8 to 30 Hz and at least 40 dB below 5 and
// above 35 Hz.
func ExampleOrder() {
	for _, family := range []filters.Family{filters.ButterworthFamily, filters.EllipticFamily} {
		n, kind, edges, err := filters.Order(family, []float64{8, 30}, []float64{5, 35}, 1, 40, 250)
		fmt.Printf("%s: order %d %v, %.1f to %.1f Hz %v\n", family, n, kind, edges[0], edges[1], err)
	}
	// Output:
	// butterworth: order 20 band-pass, 7.8 to 30.6 Hz <nil>
	// elliptic: order 5 band-pass, 8.0 to 30.0 Hz <nil>
}

func ExampleFIR() {
	for _, minimum := range []bool{false, true} {
		f := &filters.FIR{Kind: filters.BandPass, Low: 8, High: 30, Transition: 4, Minimum: minimum}
		out, err := f.Open(header("C3"))
		fmt.Printf("minimum phase %v: delay %.0f ms %v\n", minimum, out.Delay*1000, err)
	}
	// Output:
	// minimum phase false: delay 412 ms <nil>
	// minimum phase true: delay 64 ms <nil>
}

func ExampleLaplacian() {
	f := &filters.Laplacian{Channels: []string{"C3"}}
	_, err := f.Open(header("C3", "FC3", "CP3", "C1", "C5", "Cz"))
	fmt.Println(err)
	_, err = f.Open(header("C3", "FC3", "CP3", "C1", "C5", "Status"))
	fmt.Println(err)
	// Output:
	// <nil>
	// channel "Status" has no position: it is no label of the 10-05 system and the source gives none; leave it out with select, or rename it
}

// Quality marks a channel that cannot be used and says why.
func ExampleQuality() {
	in := header("C3", "C4")
	src := signal(&in, 2000)
	for i := 300; i < 2000; i++ { // a loose electrode
		src.Set(1, i, 20000)
	}
	f := &filters.Quality{Checks: []filters.Check{&filters.FlatLine{Seconds: 2}, &filters.Amplitude{Max: 150}}}
	out, err := f.Open(in)
	if err != nil {
		fmt.Println(err)
		return
	}
	dst := stream.NewChunk(&out)
	f.Process(dst, src)
	for _, e := range dst.Events {
		fmt.Println(e)
	}
	fmt.Println("C3 bad:", dst.IsBad(0, 1999), "C4 bad:", dst.IsBad(1, 1999))
	// Output:
	// quality channel-bad at column 800: 500 (C4: flat line)
	// C3 bad: false C4 bad: true
}

// Resample keeps stamps and indices honest: column m stands at m/128 s.
func ExampleResample() {
	in := header("C3")
	src := signal(&in, 250)
	f := &filters.Resample{Rate: 128}
	out, err := f.Open(in)
	if err != nil {
		fmt.Println(err)
		return
	}
	dst := stream.NewChunk(&out)
	f.Process(dst, src)
	fmt.Printf("%v Hz, %d columns, delay %.0f ms\n", out.Rate, dst.Len, out.Delay*1000)
	// Output: 128 Hz, 128 columns, delay 78 ms
}
