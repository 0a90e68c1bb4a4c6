package recordings_test

import (
	"fmt"

	"neurostream/recordings"
	"neurostream/stream"
)

// A file is opened, looked at, and read from any column.
func Example() {
	r, err := recordings.Open("testdata/subsecond_starttime.edf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	h := r.Header()
	fmt.Println(h.Name, h.Labels(), h.Rate, "Hz,", r.Len(), "columns")
	for _, a := range r.Annotations() {
		fmt.Println(a.Label, "at column", recordings.ColumnAt(r, a.Onset))
	}
	c := stream.NewChunk(&h)
	if err := r.ReadAt(c, 1000); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Len, "columns from 1000 on")
	// Output:
	// subsecond_starttime [Fp1 F7 T3] 512 Hz, 2560 columns
	// XLSpike at column 999
	// Clip Note at column 1788
	// 512 columns from 1000 on
}

// A file that was cut off says how much of it is whole.
func ExampleOpenBytes() {
	_, err := recordings.OpenBytes("notes.txt", []byte("Dear diary"))
	fmt.Println(err)
	// Output:
	// notes.txt: is not a recording: byte 0 starts "Dear dia"; the formats read are EDF, BDF, GDF, BrainVision (.vhdr), EEGLAB (.set) and XDF
}
