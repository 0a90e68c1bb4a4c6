package decoders

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every vector stands in the README with the test that reads it, and that test exists.
func TestEveryVectorIsRead(t *testing.T) {
	readme, err := os.ReadFile("testdata/decoders/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	tests, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range tests {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(b)
	}
	files, err := filepath.Glob("testdata/decoders/*.json")
	if err != nil || len(files) < 15 {
		t.Fatalf("%d vectors (%v)", len(files), err)
	}
	for _, p := range files {
		name := strings.TrimSuffix(filepath.Base(p), ".json")
		_, row, ok := strings.Cut(string(readme), "| `"+name+"` | `")
		test, _, _ := strings.Cut(row, "`")
		if !ok || !strings.Contains(source.String(), "func "+test+"(t *testing.T)") {
			t.Errorf("%s: no test that reads it is listed in the README (%q)", name, test)
		}
		if !strings.Contains(source.String(), `"`+name+`"`) {
			t.Errorf("%s is read by no test", name)
		}
	}
}
