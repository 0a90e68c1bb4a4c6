package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// maxRequest bounds what a browser may say at once, in bytes.
const maxRequest = 512

// request is what a browser may ask for.
//
//	{"type":"subscribe","signals":false,"decisions":true,"power":true}   what to be sent; all at first
//	{"type":"ping","id":7}                                               answered by {"type":"pong","id":7}
type request struct {
	Type      string `json:"type"`
	ID        int64  `json:"id"`
	Signals   bool   `json:"signals"`
	Decisions bool   `json:"decisions"`
	Power     bool   `json:"power"`
}

var errRequest = errors.New("this server takes subscribe and ping, as JSON")

// parseRequest reads one text message of a browser. It accepts nothing but the
// requests above: a page that says anything else is not ours.
func parseRequest(text []byte) (request, error) {
	var r request
	if len(text) > maxRequest {
		return r, errRequest
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&r) != nil {
		return request{}, errRequest
	}
	if _, err := d.Token(); err != io.EOF {
		return request{}, errRequest
	}
	if r.Type != "subscribe" && r.Type != "ping" {
		return request{}, errRequest
	}
	return r, nil
}
