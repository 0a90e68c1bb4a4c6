// Package lsl speaks the Lab Streaming Layer without liblsl: it finds streams,
// receives them, sends them, and puts every stamp on one clock.
//
//	             UDP 16571                    UDP service port      TCP data port
//	Resolve ───► query ──► responder ┐        LSL:timedata          LSL:streamfeed
//	  │  ◄────── shortinfo XML ◄─────┤              ▲                     │
//	  ▼                              │              │                     ▼
//	Inlet ── clock probes ───────────┼──────────────┘        frames ─► packed samples
//	  │                              │                                    │
//	  ▼                              ▼                                    ▼
//	Source ─► stream.Chunk         Outlet ◄── Sink ◄── stream.Chunk    queue ─► tiles
//
// The lower half is pure: bytes to values and back, no socket, no clock
// (info.go, query.go, handshake.go, wire110.go, wire100.go, probe.go, xpath*.go).
// The upper half holds the connections (resolver.go, outlet.go, inlet.go).
//
// What differs from liblsl, on purpose: a query is answered once; queries leave
// from the socket that listens for the replies and also try every port of this
// host; every sample carries an absolute stamp, so that a dropped sample never
// shifts the stamps of those after it; an inlet is registered before it is told
// that it is; samples that pile up leave in one write; and drops, gaps, restarts
// and clock jumps are events.
package lsl
