// Package samples holds three real recordings, so that everything can be tried at
// once: left and right fist imagery of one person, 64 channels at 160 Hz, 125 s
// each. README.md beside it names their origin, licence and whom to cite.
//
//	samples.Open("S007R04") ─► recordings.Recording ─► replay.Player
package samples

import (
	"embed"
	"fmt"
	"strings"

	"neurostream/recordings"
)

//go:embed *.edf.gz
var files embed.FS

const ending = ".edf.gz"

// Names lists the samples, sorted: "S007R04", "S007R08" and "S007R12".
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the files are part of the program
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ending)
	}
	return names
}

// Open opens a sample by name. It takes about 3 MB of memory while open.
func Open(name string) (recordings.Recording, error) {
	data, err := files.ReadFile(name + ending)
	if err != nil {
		return nil, fmt.Errorf("no sample recording is called %q; there are %s", name, strings.Join(Names(), ", "))
	}
	return recordings.OpenBytes(name+ending, data)
}
