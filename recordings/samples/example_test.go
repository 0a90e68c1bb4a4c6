package samples_test

import (
	"fmt"

	"neurostream/recordings/samples"
)

func Example() {
	r, err := samples.Open("S007R12")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	h := r.Header()
	fmt.Println(h.Rows(), "channels,", h.Rate, "Hz,", float64(r.Len())/h.Rate, "s")
	fmt.Println(r.Annotations()[0].Label, r.Annotations()[1].Label)
	// Output:
	// 64 channels, 160 Hz, 125 s
	// T0 T1
}
