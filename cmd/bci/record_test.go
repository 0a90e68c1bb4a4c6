package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"neurostream/bci"
)

func init() { recording = func() {} }

// The screen says what has appeared, gone and come back.
func TestRecordingNews(t *testing.T) {
	eeg := bci.RecordedStream{Name: "amp\x1b[2J", Type: "EEG", State: "connected", Nominal: 250, Samples: 1000}
	w := watchRecording([]bci.RecordedStream{eeg})
	next := func(rows ...bci.RecordedStream) []string { return w.news(rows) }
	if got := next(eeg); got != nil {
		t.Error(got)
	}
	cues := bci.RecordedStream{Name: "cues", Type: "Markers", State: "connected", JoinedS: 12.34}
	if got := next(eeg, cues); !slices.Equal(got, []string{"cues (Markers) has appeared and is recorded from here on"}) {
		t.Error(got)
	}
	eeg.State, eeg.QuietS = "searching", 4.4
	if got := next(eeg, cues); !slices.Equal(got, []string{"amp?[2J (EEG) is gone; its place is kept until it comes back"}) {
		t.Error(got)
	}
	var out bytes.Buffer
	printRecording(&out, "a.xdf", 20*time.Second, []bci.RecordedStream{eeg, cues}, 0)
	if s := out.String(); !strings.Contains(s, "gone 4 s") || !strings.Contains(s, "appeared 12.3 s after the recording began") || strings.Contains(s, "\x1b") {
		t.Error(s)
	}
	eeg.State, eeg.Restarts = "connected", 1
	if got := next(eeg, cues); !slices.Equal(got, []string{"amp?[2J (EEG) was gone and is back"}) {
		t.Error(got)
	}
	cues.State, cues.Error = "ended", "the stream is lost"
	if got := next(eeg, cues); !slices.Equal(got, []string{"cues (Markers) has ended: the stream is lost"}) {
		t.Error(got)
	}
}
