// Package features turns windows of samples into rows of numbers: spectra, band
// power, connectivity, covariance, statistics.
//
//	samples ─► Windows{Length, Hop} ─► Epoch ─► Extractor ─► rows (one column a hop)
//	                                    │  ├──► Extractor ─► rows
//	                                    └─ shared: segment spectra, densities, moments,
//	                                       cross-spectra; each computed once, when asked for
//
// [Windows] is the only stage; an [Extractor] computes named rows from one [Epoch].
// What extractors share is a product of the [Plan]: two extractors that ask for the
// same segments transform each channel once, and segments that successive windows
// share are transformed once. Every value is a pure function of the samples of its
// window (extractors with a longer memory say so), so it depends neither on how the
// stream was cut nor on when it started.
//
// # Golden vectors
//
// Numbers are compared with vectors made by SciPy, MNE, scikit-learn and mne-connectivity
// (testdata/signal.zip, its README says which versions) at the tolerance each file states:
//
//	vector                 what is checked                                    test
//	welch                  PSD, Welch                                         TestGoldenWelch
//	welch_stream           PSD with reused segments, Smooth                   TestGoldenWelchStream
//	spectrogram            PSD, Spectrum                                      TestGoldenSpectrogram
//	multitaper             Multitaper                                         TestGoldenMultitaper
//	burg                   Burg                                               TestGoldenBurg
//	burg_epoch             Burg with segments                                 TestGoldenBurgEpoch
//	sliding_dft            Tones                                              TestGoldenSlidingDFT
//	scalar_features        Hjorth, TimeStats, LogVariance, BandPower,         TestGoldenScalarFeatures
//	                       SpectralShape, Aperiodic, Power
//	csd_coherence          Connectivity: coherences, strengths                TestGoldenCoherence
//	csd_stream             Connectivity with reused segments                  TestGoldenCoherenceStream
//	phase_connectivity     EpochConnectivity                                  TestGoldenPhaseConnectivity
//	phase_over_time        PhaseConnectivity, Demodulation                    TestGoldenPhaseOverTime
//	aec                    EnvelopeCorrelation                                TestGoldenEnvelopeCorrelation
//	mvar                   VAR, the measures of Directed                      TestGoldenMVAR
//	network                Graph, the metrics of Network                      TestGoldenNetwork
//	r2map                  Separability, Ranks, BestPerChannel                TestGoldenSeparability
//	covariance_csp_riemann Covariance, ForgettingCovariance,                  TestGoldenCovariance
//	                       RunningCovariance (CSP, means: decoders)
//	ssvep                  Canonical (TRCA and kin: decoders)                 TestCanonicalGolden
//	dpss                   the tapers of Multitaper (stream/taper)            TestSlepianTapersAgreeWithSciPy
//	windows                the tapers of Welch (stream/taper)                 TestWindowsAgreeWithSciPy
//
// The other vectors are checked by filters; its table lists them.
package features
