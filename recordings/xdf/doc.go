// Package xdf reads, writes, repairs and converts XDF files, the recordings of the
// Lab Streaming Layer: any number of streams with stamps of their senders' clocks,
// and the clock offsets that bring them together.
//
//	file ─► scan: chunk by chunk, damage skipped ─► Stream: samples, raw stamps, clock offsets
//	                                                  │
//	        ClockCorrect ─► Dejitter (each optional) ─┴► Recording with marker streams as annotations
//
//	AddStream, Write, ClockOffset, Close ─► Writer ─► file that a crash shortens by a second at most
//
// A file is "XDF:" and chunks; everything is little-endian:
//
//	varlen(length) tag:uint16 content         length = 2 + len(content)
//	varlen: 1 uint8 │ 4 uint32 │ 8 uint64     the first byte counts the others
//	tag 1 FileHeader   XML
//	    2 StreamHeader stream:uint32 XML
//	    3 Samples      stream:uint32 varlen(n) then n times: 0 values │ 8 stamp:float64 values
//	    4 ClockOffset  stream:uint32 time:float64 offset:float64
//	    5 Boundary     16 fixed bytes, to find one's way after damage
//	    6 StreamFooter stream:uint32 XML
//
// Memory: the stamps of all samples (8 bytes each) and an index entry per chunk are
// held; samples stay in the file. Compressed files are unpacked into memory.
package xdf
