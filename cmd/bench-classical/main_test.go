package main

import (
	"testing"

	"neurostream/bci"
)

// Every pipeline of the table parses, and the section is replaced in place.
func TestPipelines(t *testing.T) {
	files, err := pipelines.ReadDir("pipelines")
	if err != nil || len(files) != 16 {
		t.Fatalf("%d pipelines, %v", len(files), err)
	}
	for _, f := range files {
		src, err := pipelines.ReadFile("pipelines/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if p, err := bci.ParsePipeline(f.Name(), src); err != nil || p.Name == "" || !p.Decides() {
			t.Errorf("%s: %v", f.Name(), err)
		}
	}
	once := withSection("# B\n", "one")
	if got := withSection(once, "two"); got != "# B\n\n<!-- bench-classical -->\ntwo\n<!-- end of bench-classical -->\n" {
		t.Errorf("%q", got)
	}
}
