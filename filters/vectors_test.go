package filters

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestVectorTable: every file of testdata stands in the table of the package
// documentation beside a test that there is, and is the one of the project's vectors.
func TestVectorTable(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	var tests []byte
	sources, _ := filepath.Glob("*_test.go")
	for _, s := range sources {
		b, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		tests = append(tests, b...)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-z_]+) .* (Test\w+)$`).FindAllStringSubmatch(string(doc), -1) {
		listed[m[1]] = true
		if !bytes.Contains(tests, []byte("func "+m[2]+"(")) || !bytes.Contains(tests, []byte(`golden(t, "`+m[1]+`")`)) {
			t.Errorf("%s: no test %s reads it", m[1], m[2])
		}
	}
	for _, m := range regexp.MustCompile(`Test[A-Z]\w+`).FindAllString(string(doc), -1) {
		if !bytes.Contains(tests, []byte("func "+m+"(")) {
			t.Errorf("the documentation names %s, which does not exist", m)
		}
	}
	files, _ := filepath.Glob("testdata/*.json")
	if len(files) != 9 || len(listed) != 9 {
		t.Errorf("%d files, %d in the table", len(files), len(listed))
	}
	const shared = "../../shared/vectors/signal"
	if _, err := os.Stat(shared); err != nil {
		t.Logf("%s is missing: the copies are not compared with it", shared)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		if !listed[name] {
			t.Errorf("%s is not in the table", name)
		}
		want, err := os.ReadFile(filepath.Join(shared, name+".json"))
		if err != nil {
			continue
		}
		if got, err := os.ReadFile(f); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from %s (%v)", f, shared, err)
		}
	}
}
