package bci

import (
	"math"
	"testing"

	"neurostream/stream"
	"neurostream/stream/streamtest"
)

// rectify is the example of CONTRIBUTING.md: the absolute value of every sample.
type rectify struct{}

func (*rectify) Open(in stream.Header) (stream.Header, error) { return in, nil }

func (*rectify) Process(dst, src *stream.Chunk) {
	dst.Follow(src) // length, position, time, marks, events
	for k := range src.Tiles() {
		to, from := dst.Tile(k), src.Tile(k)
		for i := range from {
			for l, v := range from[i] {
				if v-v != 0 { // not a number, or infinite: 0 and a mark
					v = 0
					dst.MarkBad(k*stream.Lanes+l, i)
				}
				to[i][l] = math.Abs(v)
			}
		}
	}
}

func (*rectify) Reset() {}

// The line of the vocabulary.
var newcomer = StageType{
	Name: "rectify", Doc: "absolute value of every sample", Example: "rectify:",
	New: func(*Settings) stream.Stage { return &rectify{} },
}

func TestNewcomer(t *testing.T) {
	streamtest.Contract(t, streamtest.Case{
		New: func() stream.Stage { return newcomer.New(&Settings{}) }, In: contractInput(""), Memory: 1,
	})
}

// Every stage of the vocabulary is there with a working example and passes the
// contract with it.
func TestEveryStagePassesTheContract(t *testing.T) {
	for _, st := range Stages() {
		t.Run(st.Name, func(t *testing.T) {
			p, err := ParsePipeline(st.Name, []byte("stages:\n  - "+st.Example+"\n"))
			if err != nil {
				t.Fatalf("the example does not parse: %v", err)
			}
			if st.Doc == "" || p.Steps[0].Type.Name != st.Name {
				t.Fatalf("the row of %s is incomplete", st.Name)
			}
			for _, q := range st.Params {
				if q.Doc == "" {
					t.Errorf("setting %s has no description", q.Name)
				}
			}
			streamtest.Contract(t, streamtest.Case{
				New: contractStage(t, p), In: contractInput(st.Input), Signal: contractSignal(st.Input), Columns: contractColumns(st.Input),
			})
		})
	}
}
