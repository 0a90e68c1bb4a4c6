// Package udp reads what devices and programs send by UDP, or as bytes over TCP,
// exactly as they send it, and writes what they read.
//
//	datagram ─► Format.Decode ─► columns of a chunk      units, scales: Layout
//	   ▲            │
//	   │            └─► Records: counters, indices, device stamps: the evidence
//	   │                from which the source infers loss, doubles and re-order
//	Encoder.Encode ◄── columns (sinks, simulators)
//
// A format is one file with the packet's diagram on top; formats.go is the table
// of all of them. A format opens no socket and reads no clock: bytes to values and
// back. TCP formats implement [Framer] too, which cuts the byte stream into packets.
//
// Nearly no format carries everything. What is missing (rate, unit, labels) has to
// be said in the URL; it is never guessed.
package udp
