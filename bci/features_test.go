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
