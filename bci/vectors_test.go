package bci

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var vectorRow = regexp.MustCompile("^\\| `([a-z]+)/([a-z0-9_]+)` \\| `([^`]+)` \\| (.+) \\|$")

// Every golden vector is read by a test, and the table that says so is true; see
// decoders/testdata/README.md.
func TestEveryVectorIsRead(t *testing.T) {
	doc, err := os.ReadFile("../decoders/testdata/README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := os.Getenv("VECTORS")
	if dir == "" {
		dir = "../../shared/vectors"
	}
	_, err = os.Stat(dir)
	beside := err == nil
	if !beside {
		t.Logf("%s is not there: the copies are not compared with the collection (set VECTORS=DIR)", dir)
	}
	sources := map[string]string{} // package to the text of its tests
	listed := map[string]bool{}
	for line := range strings.Lines(string(doc)) {
		m := vectorRow.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			if strings.HasPrefix(line, "| `") {
				t.Errorf("not a row of the table: %s", line)
			}
			continue
		}
		name := m[1] + "/" + m[2]
		listed[name] = true
		copied := unpacked(t, filepath.Join("..", m[3]))
		if beside {
			original, err := os.ReadFile(filepath.Join(dir, name+".json"))
			if err != nil {
				t.Error(err)
			} else if !bytes.Equal(copied, original) {
				t.Errorf("%s: the copy %s has other content", name, m[3])
			}
		}
		for _, test := range strings.Split(m[4], ", ") {
			pkg, fn, _ := strings.Cut(strings.Trim(test, "`"), ".")
			if sources[pkg] == "" {
				files, _ := filepath.Glob(filepath.Join("..", pkg, "*_test.go"))
				for _, f := range files {
					b, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					sources[pkg] += string(b)
				}
			}
			if !strings.Contains(sources[pkg], "func "+fn+"(t *testing.T)") {
				t.Errorf("%s: there is no test %s in package %s", name, fn, pkg)
			}
			if !strings.Contains(sources[pkg], m[2]) {
				t.Errorf("%s: no test of package %s names the file", name, pkg)
			}
		}
	}
	if len(listed) < 33 {
		t.Errorf("the table lists %d files only", len(listed))
	}
	if !beside {
		return
	}
	for _, folder := range []string{"ml", "decoders"} {
		files, err := filepath.Glob(filepath.Join(dir, folder, "*.json"))
		if err != nil || len(files) == 0 {
			t.Errorf("no vectors in %s (%v)", filepath.Join(dir, folder), err)
		}
		for _, f := range files {
			if name := folder + "/" + strings.TrimSuffix(filepath.Base(f), ".json"); !listed[name] {
				t.Errorf("%s is read by no test", name)
			}
		}
	}
}

// unpacked reads a file, through gzip when it ends in .gz.
func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Error(err)
		return nil
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("%s: %v", path, err)
	}
	return b
}
