// Package filters turns samples into samples: causal filters, references, spatial
// filters and cleaning, each a stream.Stage.
//
//	design (zeros, poles, gain ─► second-order sections) ─► stage ─► chunks
//	Learner.Learn (a recording, no labels) ─► model ─► stage ─► chunks
//
// All run causally and keep their state across chunks. Their group delay goes into
// the stream's Header.Delay and the time until they have settled into Header.Settle.
// A sample that is not a number never enters a state: the last good value stands in
// and the sample is marked bad. Numbers agree with SciPy's and MNE's; kernels use no
// fused multiply-add, so the bits are the same on every machine.
//
// # Which golden vectors test what
//
// Files of testdata, each checked whole and at its stated tolerance:
//
//	iir_design        Butterworth, Chebyshev1, Chebyshev2, Elliptic, Bessel, NotchSection, PeakSection   TestIIRDesigns
//	iir_order         Order (stage IIR with Pass and Stop)                                               TestOrders
//	sosfilt_stream    every recursive stage: cascade, steady state                                       TestStreamsOfSections
//	fir_design        WindowMethod, KaiserOrder, FrequencySampling, LeastSquares, HalfMinimumPhase       TestFIRDesigns
//	fir_stream        FIR                                                                                TestStreamsOfFIR
//	decimate_causal   Decimate, recursive and FIR                                                        TestDecimation
//	resample_poly     Resample                                                                           TestResampling
//	rereference       CommonAverage, CommonMedian, Linked, Bipolar, Laplacian, CurrentSourceDensity      TestReferences
//	artifacts         EOGRegression, EOGAdaptive                                                         TestEyes
//	artifacts         ASR                                                                                TestASRDecisions
//	artifacts         Quality                                                                            TestChannelQuality
//
// The other files of the signal library are in the table of package features; windows
// and dpss are checked in stream/taper. What no file covers has axioms: Interpolate and
// the splines without bad channels (TestSplineLeavesOut, TestInterpolation), Matrix
// (TestReferencesAreFree, TestBadInputs), FilterBank (TestBank), GapRepair (TestGaps),
// overlap-save (TestLongFilters), ASR on data (TestASR), Quality on faults
// (TestQuality).
package filters
