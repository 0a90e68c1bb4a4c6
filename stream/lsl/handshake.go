package lsl

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The first line on the data port chooses a method. The feed comes in two forms:
//
//	LSL:streamfeed/110 <uid> CRLF          LSL:streamfeed CRLF
//	Native-Byte-Order: 1234 CRLF           <max buffer> SP <max chunk> CRLF
//	Max-Buffer-Length: 36000 CRLF
//	... CRLF CRLF                          (answered with an archive, see wire100.go)
//
//	LSL/110 200 OK CRLF
//	UID: <uid> CRLF
//	Byte-Order: 1234 CRLF
//	Suppress-Subnormals: 0 CRLF
//	Data-Protocol-Version: 110 CRLF CRLF
//	<two test samples> <samples>
//
// Header lines are read without regard to case; what follows a ';' is a comment;
// unknown names are ignored. A refusal is a status line without a line end.
const (
	methodFeed  = "LSL:streamfeed"
	methodFull  = "LSL:fullinfo"
	methodShort = "LSL:shortinfo"

	orderLittle = 1234
	orderBig    = 4321

	// Protocol is the newest version of the protocol, times 100.
	Protocol = 110
)

// feedRequest is what a client asks for.
type feedRequest struct {
	Version    int    // of the request line, times 100
	UID        string // "" = any
	ByteOrder  int    // 1234 little, 4321 big; 0 = not said
	Swaps      float64
	IEEE       bool
	Subnormals bool
	ValueSize  int // bytes per value; -1 = not said
	MaxBuffer  int // samples the server may queue
	MaxChunk   int // samples per write; 0 = the server's choice
	Protocol   int // the header that forces an older data format; 0 = not said
	Hostname   string
	SourceID   string
	SessionID  string
}

// append appends the request; versions below 110 have the old form.
func (r *feedRequest) append(dst []byte) []byte {
	if r.Version < 110 {
		return fmt.Appendf(dst, methodFeed+"\r\n%d %d\r\n", r.MaxBuffer, r.MaxChunk)
	}
	line := func(name string, v any) { dst = fmt.Appendf(dst, "%s: %v\r\n", name, v) }
	bit := func(v bool) int {
		if v {
			return 1
		}
		return 0
	}
	dst = fmt.Appendf(dst, methodFeed+"/%d %s\r\n", r.Version, r.UID)
	line("Native-Byte-Order", r.ByteOrder)
	line("Endian-Performance", strconv.FormatFloat(r.Swaps, 'g', 6, 64))
	line("Has-IEEE754-Floats", bit(r.IEEE))
	line("Supports-Subnormals", bit(r.Subnormals))
	if r.ValueSize >= 0 {
		line("Value-Size", r.ValueSize)
	}
	line("Data-Protocol-Version", r.Version)
	line("Max-Buffer-Length", r.MaxBuffer)
	line("Max-Chunk-Length", r.MaxChunk)
	line("Hostname", r.Hostname)
	line("Source-Id", r.SourceID)
	line("Session-Id", r.SessionID)
	return append(dst, "\r\n"...)
}

var errHandshake = errors.New("malformed handshake")

// headers calls f for every header line of a block, in lower case.
func headers(block []byte, f func(name, value string) error) error {
	for line := range bytes.Lines(block) {
		if len(line) == 0 || line[0] == '\r' || line[0] == '\n' {
			return nil
		}
		line, _, _ = bytes.Cut(line, []byte(";"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		n := strings.ToLower(string(bytes.TrimSpace(name)))
		if err := f(n, strings.ToLower(string(bytes.TrimSpace(value)))); err != nil {
			return fmt.Errorf("%w: %s: %w", errHandshake, n, err)
		}
	}
	return nil
}

// parseFeedRequest reads a request: its first line, trimmed, and what follows it
// up to the empty line (or, in the old form, the one line with two numbers).
func parseFeedRequest(line string, block []byte) (feedRequest, error) {
	r := feedRequest{Version: 100, ByteOrder: orderLittle, IEEE: true, Subnormals: true, ValueSize: -1}
	rest, ok := strings.CutPrefix(line, methodFeed)
	if !ok {
		return r, fmt.Errorf("%w: method %.40q", errHandshake, line)
	}
	if rest, ok = strings.CutPrefix(rest, "/"); ok {
		v, uid, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 {
			return r, fmt.Errorf("%w: version %.20q", errHandshake, v)
		}
		r.Version, r.UID = n, strings.TrimSpace(uid)
	}
	if r.Version < 110 {
		f := bytes.Fields(block)
		if len(f) < 2 {
			return r, fmt.Errorf("%w: no buffer length", errHandshake)
		}
		var err error
		if r.MaxBuffer, err = strconv.Atoi(string(f[0])); err == nil {
			r.MaxChunk, err = strconv.Atoi(string(f[1]))
		}
		if err != nil {
			return r, fmt.Errorf("%w: %w", errHandshake, err)
		}
		return r, nil
	}
	err := headers(block, func(name, value string) (err error) {
		switch name {
		case "native-byte-order":
			r.ByteOrder, err = strconv.Atoi(value)
		case "endian-performance":
			r.Swaps, err = parseNumber(value)
		case "has-ieee754-floats":
			r.IEEE = value == "1"
		case "supports-subnormals":
			r.Subnormals = value == "1"
		case "value-size":
			r.ValueSize, err = strconv.Atoi(value)
		case "max-buffer-length":
			r.MaxBuffer, err = strconv.Atoi(value)
		case "max-chunk-length":
			r.MaxChunk, err = strconv.Atoi(value)
		case "protocol-version":
			r.Protocol, err = strconv.Atoi(value)
		case "hostname":
			r.Hostname = value
		case "source-id":
			r.SourceID = value
		case "session-id":
			r.SessionID = value
		}
		return err
	})
	return r, err
}

// feedResponse is the server's answer.
type feedResponse struct {
	Status     int
	Reason     string
	Version    int // of the status line
	UID        string
	ByteOrder  int // 0 = the client's own
	NoDenormal bool
	Data       int // version of the data format
}

func (r *feedResponse) append(dst []byte) []byte {
	dst = fmt.Appendf(dst, "LSL/%d %d %s", r.Version, r.Status, r.Reason)
	if r.Status != 200 {
		return dst
	}
	n := 0
	if r.NoDenormal {
		n = 1
	}
	return fmt.Appendf(dst, "\r\nUID: %s\r\nByte-Order: %d\r\nSuppress-Subnormals: %d\r\nData-Protocol-Version: %d\r\n\r\n", r.UID, r.ByteOrder, n, r.Data)
}

// parseFeedResponse reads a status line and the headers behind it. A data version
// that is not said is 1.00, as in liblsl.
func parseFeedResponse(b []byte) (feedResponse, error) {
	line, block, _ := bytes.Cut(b, []byte("\n"))
	f := strings.Fields(string(line))
	if len(f) < 3 || !strings.HasPrefix(f[0], "LSL/") {
		return feedResponse{}, fmt.Errorf("%w: status line %.60q", errHandshake, line)
	}
	r := feedResponse{Data: 100, Reason: strings.Join(f[2:], " ")}
	var err error
	if r.Version, err = strconv.Atoi(f[0][4:]); err == nil {
		r.Status, err = strconv.Atoi(f[1])
	}
	if err != nil {
		return feedResponse{}, fmt.Errorf("%w: status line %.60q", errHandshake, line)
	}
	if r.Status != 200 {
		return r, nil
	}
	err = headers(block, func(name, value string) (err error) {
		switch name {
		case "uid":
			r.UID = value
		case "byte-order":
			r.ByteOrder, err = strconv.Atoi(value)
		case "suppress-subnormals":
			r.NoDenormal = value == "1"
		case "data-protocol-version":
			r.Data, err = strconv.Atoi(value)
		}
		return err
	})
	return r, err
}

// negotiate decides how an outlet feeds a client: own is the outlet's configured
// version. The order of the rules is liblsl's.
func negotiate(r *feedRequest, i *Info, own int) feedResponse {
	out := feedResponse{Version: own, Status: 200, Reason: "OK", UID: i.UID, ByteOrder: orderLittle}
	switch {
	case r.Version/100 > own/100:
		out.Status, out.Reason = 505, "Version not supported"
		return out
	case r.UID != "" && r.UID != i.UID:
		out.Status, out.Reason = 404, "Not found"
		return out
	}
	want := r.Version
	if r.Protocol > 0 {
		want = r.Protocol
	}
	out.Data = min(own, want)
	size := i.Format.Size()
	if !r.IEEE || i.Format != String && r.ValueSize >= 0 && r.ValueSize != size {
		out.Data = 100
	}
	// A peer of the other byte order swaps by itself if it claims to be able to at
	// all; liblsl compares speeds, and one that says 0 cannot.
	if out.Data >= 110 && r.ByteOrder == orderBig && size > 1 && r.Swaps <= 0 {
		out.ByteOrder = orderBig
	}
	if i.Format == String && r.ByteOrder == orderBig && r.Swaps <= 0 && out.Data >= 110 {
		out.ByteOrder = orderBig
	}
	out.NoDenormal = i.Format.Float() && !r.Subnormals
	return out
}
