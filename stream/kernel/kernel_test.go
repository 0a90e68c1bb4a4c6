package kernel

import (
	"fmt"
	"testing"
)

func TestChoice(t *testing.T) {
	for _, c := range []struct {
		wish string
		most Set
		want Set
		err  string
	}{
		{"", AVX512, AVX512, ""},
		{"", Portable, Portable, ""},
		{"portable", AVX512, Portable, ""},
		{"avx2", AVX512, AVX2, ""},
		{"avx512", AVX2, AVX2, "NEUROSTREAM_KERNELS=avx512: this processor or build has no avx512; using avx2"},
		{"sse", AVX2, AVX2, "NEUROSTREAM_KERNELS=sse is unknown; give one of portable, avx2, avx512"},
	} {
		got, err := choose(c.wish, c.most)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != c.want || text != c.err {
			t.Errorf("choose(%q, %v) = %v, %q; want %v, %q", c.wish, c.most, got, text, c.want, c.err)
		}
	}
}

func TestLevelIsSupported(t *testing.T) {
	s := Supported()
	if s[0] != Portable || s[len(s)-1] != Best() || Level() > Best() {
		t.Errorf("level %v, supported %v", Level(), s)
	}
}

func ExampleSet() {
	fmt.Println(Portable, AVX2, AVX512)
	// Output: portable avx2 avx512
}
