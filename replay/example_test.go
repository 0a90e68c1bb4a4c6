package replay_test

import (
	"context"
	"fmt"
	"io"

	"neurostream/recordings"
	"neurostream/recordings/samples"
	"neurostream/replay"
	"neurostream/stream"
)

// A recording is played as if it were live, and its annotations become the truth that
// decisions are judged against.
func Example() {
	r, err := samples.Open("S007R12")
	if err != nil {
		fmt.Println(err)
		return
	}
	p := &replay.Player{Recordings: []recordings.Recording{r}, Own: true} // Speed 0: as fast as it goes
	h, err := p.Open(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close()

	chunk := stream.NewChunk(&h)
	columns, cues := 0, 0
	for {
		if err := p.Read(chunk); err == io.EOF {
			break
		} else if err != nil {
			fmt.Println(err)
			return
		}
		columns += chunk.Len
		cues += len(chunk.Markers)
	}
	truth, err := p.Truth(replay.Task{
		Classes: []string{"rest", "left", "right"}, Idle: "rest",
		Labels: map[string]string{"T0": "rest", "T1": "left", "T2": "right"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	first := truth.Trials[0]
	w := truth.WindowAt(first.Start+1.5, 2) // the 2 s that end 1.5 s after the first cue
	fmt.Printf("%d columns in blocks of up to %d, %d annotations, %d trials\n", columns, h.MaxLen, cues, len(truth.Trials))
	fmt.Printf("first: %s at %.1f s; that window is %.0f %% %s\n", truth.Classes[first.Class], first.Start, 100*w.Purity, truth.Classes[w.Class])
	// Output:
	// 20000 columns in blocks of up to 6, 30 annotations, 15 trials
	// first: left at 4.2 s; that window is 75 % left
}
