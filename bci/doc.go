// Package bci is the engine: it reads a pipeline file, finds its stages in the
// vocabulary, and runs source, chain and sinks on goroutines joined by rings.
//
//	pipeline.yaml ─► Pipeline ─► Engine{Source ─► ring ─► Chain ─► rings ─► Sinks} ─► Status, digest
//
// The same file gives the same decisions live, in replay and in a benchmark.
package bci
