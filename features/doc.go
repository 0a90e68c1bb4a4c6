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
package features
