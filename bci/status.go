package bci

import "neurostream/decoders"

// Status is what an engine says of itself while it runs: the page shows it, the
// end-of-run report is made from the last one. All numbers are totals since Open.
type Status struct {
	State      string   `json:"state"`           // "opening", "running", "ended", "failed"
	Pipeline   string   `json:"pipeline"`        // file name
	Source     string   `json:"source"`          // URL
	ElapsedS   float64  `json:"elapsed_s"`       // wall time since the first chunk
	DataS      float64  `json:"data_s"`          // seconds of data processed
	Realtime   float64  `json:"realtime"`        // data seconds per second of wall time
	Rate       float64  `json:"rate_hz"`         // nominal sampling rate of the source
	Rows       int      `json:"rows"`            // channels of the source
	Chunks     int64    `json:"chunks"`          // chunks through the chain
	Columns    int64    `json:"columns"`         // samples per channel through the chain
	Decisions  int64    `json:"decisions"`       // columns that left the chain
	Digest     string   `json:"digest"`          // SHA-256 of all that left the chain
	DelayS     float64  `json:"delay_s"`         // algorithmic delay of the chain (group delays, half windows)
	Stages     []Stage  `json:"stages"`          // in order; those of a side lane, called "lane/stage", at the end
	Sides      []Beside `json:"sides,omitempty"` // side lanes
	Engine     Spread   `json:"engine_us"`       // chunk read to decision handed over, microseconds
	Age        Spread   `json:"age_us"`          // newest byte read to decision handed over, microseconds
	Pacing     Spread   `json:"pacing_us"`       // lateness of a paced source's ticks, microseconds
	Rings      []Ring   `json:"rings"`           //
	Events     []Count  `json:"events"`          // by kind, only kinds that occurred
	GCs        uint32   `json:"gcs"`             // garbage collections since Open
	HeapBytes  uint64   `json:"heap_bytes"`      //
	AllocBytes uint64   `json:"alloc_bytes"`     // allocated since Open, whole process
}

// Beside is what a side lane has done.
type Beside struct {
	Name    string `json:"name"`
	Columns int64  `json:"columns"` // that left it
	Digest  string `json:"digest"`  // SHA-256 of all that left it
	Age     Spread `json:"age_us"`  // newest byte read to column handed over, microseconds
}

// Stage is one row of the latency budget.
type Stage struct {
	Name   string  `json:"name"`
	Work   Spread  `json:"work_us"` // time in Process, microseconds
	DelayS float64 `json:"delay_s"` // algorithmic delay this stage adds
	Rows   int     `json:"rows"`    // channels it puts out
	RateHz float64 `json:"rate_hz"` // columns per second it puts out
	Lane   int     `json:"lane"`    // goroutine it runs on
	Bytes  int64   `json:"bytes"`   // memory of its output chunk and state
	Parts  []Part  `json:"parts,omitempty"`

	Fallbacks *decoders.Fallbacks `json:"fallbacks,omitempty"` // of a decoder that can fall back
}

// Part is what a stage computes among others, such as a feature of a window. What several
// share, such as the spectra of segments, is counted with the first that needs it (time),
// and with each of them (memory).
type Part struct {
	Name  string `json:"name"`
	Work  Spread `json:"work_us"` // one computation, microseconds; those that are held for several windows count once
	Rows  int    `json:"rows"`
	Bytes int64  `json:"bytes"` // memory of its state, with what it shares
}

// Spread summarises a distribution.
type Spread struct {
	N    int64   `json:"n"`
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Ring is the state of one hand-over between goroutines.
type Ring struct {
	Name    string `json:"name"`
	Used    int    `json:"used"`
	Slots   int    `json:"slots"`
	Dropped int64  `json:"dropped"` // columns discarded because the reader was too slow
}

// Count is how often one kind of event occurred.
type Count struct {
	Kind string `json:"kind"`
	N    int64  `json:"n"`
}
