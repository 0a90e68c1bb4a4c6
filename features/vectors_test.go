package features

import (
	"archive/zip"
	"hash/crc32"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// vectorsBeside is where the whole set of vectors lies when it is at hand.
const vectorsBeside = "../../shared/vectors/signal"

// tabled returns vector → test of the table in a doc.go.
func tabled(t *testing.T, doc string) map[string]string {
	t.Helper()
	src, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^//\t(\w+) .*?(Test\w+)`).FindAllStringSubmatch(string(src), -1) {
		out[m[1]] = m[2]
	}
	return out
}

// TestEveryVectorIsInTheTable: every vector file of the package is in the table of the
// package comment, with a test that exists; with the whole set at hand, every file of it
// is in this table or in that of filters.
func TestEveryVectorIsInTheTable(t *testing.T) {
	table := tabled(t, "doc.go")
	if len(table) < 20 {
		t.Fatalf("the table has %d rows", len(table))
	}
	var tests strings.Builder
	for _, dir := range []string{".", "../stream/taper"} {
		files, _ := filepath.Glob(dir + "/*_test.go")
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(src)
		}
	}
	for vector, test := range table {
		if !strings.Contains(tests.String(), "func "+test+"(") {
			t.Errorf("%s: there is no %s", vector, test)
		}
	}
	z, err := zip.OpenReader("testdata/signal.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		if want, err := os.ReadFile(filepath.Join(vectorsBeside, f.Name)); err == nil && crc32.ChecksumIEEE(want) != f.CRC32 {
			t.Errorf("%s differs from the file in %s", f.Name, vectorsBeside)
		}
		if table[strings.TrimSuffix(f.Name, ".json")] == "" {
			t.Errorf("%s is not in the table", f.Name)
		}
	}
	all, _ := filepath.Glob(vectorsBeside + "/*.json")
	if len(all) == 0 {
		t.Logf("%s is not there: only the vectors of testdata were compared with the table", vectorsBeside)
	}
	filters := tabled(t, "../filters/doc.go")
	if len(filters) == 0 {
		filters = map[string]string{"artifacts": "", "decimate_causal": "", "fir_design": "", "fir_stream": "", "iir_design": "", "iir_order": "", "rereference": "", "resample_poly": "", "sosfilt_stream": ""}
	}
	for _, f := range all {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		if _, ok := filters[name]; !ok && table[name] == "" {
			t.Errorf("%s is in no table", name)
		}
	}
}
