// Package fft transforms eight real channels side by side.
//
//	tile [n][8]float64 ─► Load (detrend, window) ─► stages, in place ─► Bins lo..hi
//	 one channel a lane                              radix 4 (2, 3, 5)   re row, im row
//
// A tile of an even number n of real samples already is an array of n/2 complex
// vectors (even sample = real part, odd sample = imaginary part), so a transform of
// n/2 points and a post-pass over the wanted bins give the spectrum of all eight
// lanes with the arithmetic of one textbook transform (Sorensen, Jones, Heideman and
// Burrus 1987). Lanes never mix: the bits of a channel do not depend on its
// neighbours. Sizes with a prime factor above 13 go to gonum, one channel at a time.
package fft
