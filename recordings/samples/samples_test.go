package samples

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// The README names each file with its checksum, packed and unpacked.
func TestChecksums(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if len(Names()) != 3 {
		t.Fatalf("samples: %v", Names())
	}
	for _, name := range Names() {
		data, err := files.ReadFile(name + ending)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		row := fmt.Sprintf("| `%s` | `%x` | `%x` |", name+ending, sha256.Sum256(data), sha256.Sum256(plain))
		if !strings.Contains(string(readme), row) {
			t.Errorf("README.md lacks the line %s", row)
		}
	}
}

func TestSamples(t *testing.T) {
	for _, name := range Names() {
		r, err := Open(name)
		if err != nil {
			t.Fatal(err)
		}
		h := r.Header()
		if h.Name != name || h.Rate != 160 || h.Rows() != 64 || r.Len() != 20000 {
			t.Errorf("%s: stream %q, %v Hz, %d channels, %d columns", name, h.Name, h.Rate, h.Rows(), r.Len())
		}
		if err := h.Validate(); err != nil {
			t.Error(err)
		}
		for _, l := range []string{"C3", "Cz", "C4", "FC5", "Fpz", "AF7", "T10", "Iz"} {
			i := h.Index(l)
			if i < 0 {
				t.Errorf("%s has no channel %s: %v", name, l, h.Labels())
				continue
			}
			if c := h.Channels[i]; c.Unit != "uV" || c.Type != "EEG" || !c.Placed {
				t.Errorf("%s: %+v", name, c)
			}
		}
		count := map[string]int{}
		for _, a := range r.Annotations() {
			count[a.Label]++
			if a.Duration < 4 || a.Duration > 4.3 {
				t.Errorf("%s: %+v", name, a)
			}
		}
		if count["T1"]+count["T2"] != 15 || count["T0"] != 15 {
			t.Errorf("%s: annotations %v", name, count)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := Open("S999"); err == nil || !strings.Contains(err.Error(), "S007R04, S007R08, S007R12") {
		t.Errorf("error %v", err)
	}
}
