package bci

import (
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// Every feature of window is there with a working example and passes the contract with
// it: chunk invariance, no allocation, causality, quarantine, save and restore.
func TestEveryFeaturePassesTheContract(t *testing.T) {
	for _, x := range extractors {
		t.Run(x.Name, func(t *testing.T) {
			p, err := ParsePipeline(x.Name, []byte("stages:\n  - window: {length: 1.2, hop: 0.12, features: ["+x.Example+"]}\n"))
			if err != nil {
				t.Fatalf("the example does not parse: %v", err)
			}
			if x.Doc == "" {
				t.Error("no description")
			}
			for _, q := range x.Params {
				if q.Doc == "" {
					t.Errorf("setting %s has no description", q.Name)
				}
			}
			in := contractInput("")
			in.Channels = in.Channels[:5]
			streamtest.Contract(t, streamtest.Case{New: func() stream.Stage { return p.Build()[0].Stage }, In: in, Columns: 1500})
		})
	}
}

// flatMarked says for every feature whether the rows of a channel without variance are
// marked; the others are plain numbers of it, such as a power of zero.
var flatMarked = map[string]bool{
	"covariance": true, "log-variance": true, "band-power": true, "erd": true, "burg": true, "spectral-shape": true, "aperiodic": true,
	"hjorth": true, "time-stats": true, "connectivity": true, "network": true, "phase-connectivity": true, "envelope-correlation": true,
	"directed": true, "forgetting-covariance": false, "power": true, "psd": false, "spectrum": true, "multitaper": false, "tones": false,
	"demodulation": true,
}

// A channel that does not vary, and values whose squares overflow, give numbers or a
// flagged zero, never NaN or an infinity.
func TestFeaturesOfDeadChannelsAreFlaggedZeros(t *testing.T) {
	for _, x := range extractors {
		t.Run(x.Name, func(t *testing.T) {
			p, err := ParsePipeline(x.Name, []byte("stages:\n  - window: {length: 1.2, hop: 0.12, features: ["+x.Example+"]}\n"))
			if err != nil {
				t.Fatal(err)
			}
			for _, level := range []float64{0, 42.5, 1e200} { // of channel C3
				h := contractInput("")
				h.Channels = h.Channels[:5]
				const dead = 2
				s := p.Build()[0].Stage
				out, err := s.Open(h)
				if err != nil {
					t.Fatal(err)
				}
				fill := streamtest.Noise(&h, 3)
				src, dst := stream.NewChunk(&h), stream.NewChunk(&out)
				column, marked, columns := make([]float64, 5), 0, 0
				for at := int64(0); at < 2500; at += 50 {
					src.Clear()
					src.Resize(50)
					src.Seq = at
					for i := range 50 {
						fill(at+int64(i), column)
						if column[dead] = level; level > 1e100 && i%2 == 0 {
							column[dead] = -level
						}
						src.SetColumn(i, column)
					}
					s.Process(dst, src)
					for i := range dst.Len {
						columns++
						for r := range dst.Rows() {
							v := dst.At(r, i)
							if v-v != 0 {
								t.Fatalf("%s is %v for a channel of %v", out.Channels[r].Label, v, level)
							}
							if dst.IsBad(r, i) {
								if marked++; v != 0 && x.Name == "connectivity" {
									t.Fatalf("%s is marked but %v", out.Channels[r].Label, v)
								}
							}
						}
					}
				}
				if columns == 0 {
					t.Fatal("no window")
				}
				want, listed := flatMarked[x.Name]
				if !listed {
					continue // of another table
				}
				if level == 0 && want != (marked > 0) {
					t.Errorf("level %v: %d marks in %d columns", level, marked, columns)
				}
			}
		})
	}
}
