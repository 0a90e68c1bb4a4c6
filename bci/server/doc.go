// Package server shows a running engine to browsers: HTTP, WebSocket, and the
// page of package web.
//
//	engine ─► ring ─► Signals ──┐ decimate, encode once                  ┌─► outbox ─► writer ─► browser
//	       ├► ring ─► Decisions ┼─► hub: backlog, sequence of frames ────┼─► outbox ─► writer ─► browser
//	       └► ring ─► BandPower ┘     ▲                                  └─► outbox ─► writer ─► …
//	          Status, four times a second
//
// The three sinks are attached to the engine like any other; each is called on a
// goroutine of its own, behind a ring. Nothing here can hold the engine up: a sink
// encodes into memory and returns, every browser has a bounded outbox and one
// writer, and a browser that cannot keep up loses frames and is told how many.
//
// The server listens on loopback unless told otherwise, answers only to host names
// it knows, and refuses WebSocket connections that another site's page opens.
package server
