package xdf_test

import (
	"fmt"
	"os"
	"path/filepath"

	"neurostream/recordings/xdf"
)

// Two streams are written, and read back as one recording with annotations.
func Example() {
	dir, err := os.MkdirTemp("", "xdf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "today.xdf")

	w, err := xdf.Create(path, xdf.WriterOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	eeg, _ := w.AddStream(xdf.Info{Name: "amplifier", Type: "EEG", Format: xdf.Float32, Rate: 250, Channels: []xdf.Channel{{Label: "C3", Unit: "microvolts"}, {Label: "C4", Unit: "microvolts"}}})
	cues, _ := w.AddStream(xdf.Info{Name: "cues", Type: "Markers", Format: xdf.String, Channels: make([]xdf.Channel, 1)})
	for i := range 500 {
		_ = w.Write(eeg, []float64{100 + float64(i)/250}, []float64{float64(i), -float64(i)})
	}
	_ = w.WriteStrings(cues, []float64{101}, []string{"left"})
	if err := w.Close(); err != nil { // the first error of all calls
		fmt.Println(err)
		return
	}

	r, err := xdf.OpenRecording(path, xdf.RecordingOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	h := r.Header()
	fmt.Println(h.Name, h.Labels(), h.Rate, "Hz,", r.Len(), "columns")
	for _, a := range r.Annotations() {
		fmt.Printf("%s at %.3f s\n", a.Label, a.Onset)
	}
	// Output:
	// amplifier [C3 C4] 250 Hz, 500 columns
	// left at 1.000 s
}
