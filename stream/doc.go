// Package stream is the core everything else stands on: one data type, three
// interfaces that move it, and the few concrete pieces a pipeline is made of.
//
//	Source ──► Ring ──► Chain{Stage ─► Stage ─► Stage} ──► Ring ──► Sink
//	 (I/O)     (hand-    (plain calls, no allocation,       (hand-   (I/O)
//	           over)      no clock, no error)                over)
//
// A [Chunk] is a grid: rows are channels, columns are time. Samples, features
// and decisions are all chunks. The sample index ([Chunk.Seq]) is the clock of a
// pipeline; wall time is metadata that no stage reads, so the same samples give
// the same bits live, in replay and in a benchmark.
//
// Ownership is a place: a chunk belongs to the [Ring] slot or the [Chain] that
// allocated it. A stage may use dst and src only until Process returns.
//
// What can go wrong with data (missing columns, doubled datagrams, a clock that
// jumped) is never an error return of a stage: it is a flag on the chunk and a
// typed [Event] that travels with it to every sink.
//
// The package imports the standard library only.
package stream
