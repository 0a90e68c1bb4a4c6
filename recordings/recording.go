// Package recordings reads finished files of brain signals: EDF, EDF+, BDF, GDF,
// BrainVision, EEGLAB and CSV, and writes EDF+, BDF+ and CSV. Each format has its own
// file; XDF has its own package, sample recordings have theirs.
//
//	file ─► parser ─► Recording (random access by column) ─► replay.Player
//	                      └─► WriteEDF, WriteCSV ─► file
//
// Every byte of a file is hostile until parsed: lengths are limited, nothing is
// allocated on a header's word alone, and errors name the byte offset.
package recordings

import (
	"time"

	"neurostream/stream"
)

// Recording gives random access to one regularly sampled stream of a finished
// file. One goroutine at a time may use it.
type Recording interface {
	// Header describes the stream. Units are as in the file (uV for EEG); MaxLen
	// is a good block size for reading.
	Header() stream.Header
	// Len returns the number of columns.
	Len() int64
	// Start returns the wall time of column 0; the zero time when unknown.
	Start() time.Time
	// ReadAt resizes dst to the number of columns that exist from column from on,
	// at most dst.Cap, and fills their samples. It sets no other field. Nothing
	// left is io.EOF. It does not allocate in steady state.
	ReadAt(dst *stream.Chunk, from int64) error
	// Annotations returns all annotations in order of onset.
	Annotations() []Annotation
	// Gaps returns the places where columns are missing, in order.
	Gaps() []Gap
	// Info returns what the header says about the file, for a person.
	Info() Info
	Close() error
}

// Annotation is a labelled stretch of a recording.
type Annotation struct {
	Onset    float64 // seconds since column 0
	Duration float64 // seconds; 0 when unknown or a point
	Label    string  // as in the file, e.g. "T1"
}

// Gap says that time passed without samples before a column.
type Gap struct {
	Column  int64   // first column after the gap
	Seconds float64 // length of the gap
	Restart bool    // what follows is known to be no continuation, however short the gap
}

// Info is what a file's header says, for people and reports.
type Info struct {
	Format  string      // e.g. "EDF+C"
	Path    string      //
	Fields  [][2]string // name and value in the file's order, e.g. {"Patient", "X X X X"}
	Skipped []string    // signals that are not in the stream, and why
}
