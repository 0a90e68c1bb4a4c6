package lsl

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// probe is one exchange of clock readings over UDP, in seconds of the two clocks.
//
//	request:  LSL:timedata CRLF <wave> SP <t0> CRLF
//	reply:    SP <wave> SP <t0> SP <t1> SP <t2>
//
//	 client  t0 ────────╮                 ╭────────► t3
//	 server             ╰──► t1 ··· t2 ───╯
type probe struct {
	wave       int64
	t0, t1, t2 float64
}

const probeMethod = "LSL:timedata"

func appendSeconds(dst []byte, v float64) []byte { return strconv.AppendFloat(dst, v, 'g', 16, 64) }

func (p *probe) appendRequest(dst []byte) []byte {
	dst = append(dst, probeMethod+"\r\n"...)
	dst = strconv.AppendInt(dst, p.wave, 10)
	dst = appendSeconds(append(dst, ' '), p.t0)
	return append(dst, "\r\n"...)
}

func (p *probe) appendReply(dst []byte) []byte {
	dst = strconv.AppendInt(append(dst, ' '), p.wave, 10)
	for _, t := range [...]float64{p.t0, p.t1, p.t2} {
		dst = appendSeconds(append(dst, ' '), t)
	}
	return dst
}

var errProbe = errors.New("not a clock probe")

func parseProbeRequest(b []byte) (probe, error) {
	method, rest, _ := bytes.Cut(b, []byte("\n"))
	if string(bytes.TrimSpace(method)) != probeMethod {
		return probe{}, errProbe
	}
	return parseProbe(rest, 2)
}

func parseProbeReply(b []byte) (probe, error) { return parseProbe(b, 4) }

func parseProbe(b []byte, n int) (probe, error) {
	if len(b) > 256 {
		return probe{}, errProbe
	}
	f := bytes.Fields(b)
	if len(f) != n {
		return probe{}, fmt.Errorf("%w: %d fields", errProbe, len(f))
	}
	var p probe
	var err error
	if p.wave, err = strconv.ParseInt(string(f[0]), 10, 64); err != nil {
		return probe{}, fmt.Errorf("%w: wave %.30q", errProbe, f[0])
	}
	for i, t := range []*float64{&p.t0, &p.t1, &p.t2}[:n-1] {
		if *t, err = parseNumber(string(f[i+1])); err != nil {
			return probe{}, fmt.Errorf("%w: time %.30q", errProbe, f[i+1])
		}
	}
	return p, nil
}
