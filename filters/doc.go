// Package filters turns samples into samples: causal filters, references and
// cleaning, each a stream.Stage.
//
//	design (zeros, poles, gain ─► second-order sections) ─► stage ─► chunks
//
// All run causally and keep their state across chunks. Their group delay goes into
// the stream's Header.Delay and the time until they have settled into Header.Settle.
// A sample that is not a number never enters a state: the last good value stands in
// and the sample is marked bad. Numbers agree with SciPy's; kernels use no fused
// multiply-add, so the bits are the same on every machine.
package filters
