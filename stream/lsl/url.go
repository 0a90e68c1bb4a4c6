package lsl

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parameters reads a URL's query, every key at most as often as it may come.
type parameters struct {
	values url.Values
	known  []string
	err    error
}

func (p *parameters) text(key string) string {
	p.known = append(p.known, key)
	v := p.values[key]
	if len(v) > 1 && p.err == nil {
		p.err = fmt.Errorf("lsl: %s is given %d times in the URL", key, len(v))
	}
	return p.values.Get(key)
}

func (p *parameters) fail(key, value, want string) {
	if p.err == nil {
		p.err = fmt.Errorf("lsl: %s=%s in the URL is not %s", key, value, want)
	}
}

func (p *parameters) duration(key string) time.Duration {
	s := p.text(key)
	if s == "" {
		return 0
	}
	if s == "never" {
		return -1
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return d
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || v < 0 || v > 1e6 {
		p.fail(key, s, "a duration such as 10s or 1m30s")
	}
	return time.Duration(v * float64(time.Second))
}

func (p *parameters) choice(key string, options ...string) string {
	s := p.text(key)
	if s != "" && !slices.Contains(options, s) {
		p.fail(key, s, "one of "+strings.Join(options, ", "))
	}
	return s
}

func (p *parameters) integer(key string, high int) int {
	s := p.text(key)
	if s == "" {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > high {
		p.fail(key, s, fmt.Sprintf("a number from 1 to %d", high))
	}
	return n
}

// finish reports the first fault, or a key that nobody asked for.
func (p *parameters) finish() error {
	if p.err != nil {
		return p.err
	}
	for key := range p.values {
		if !slices.Contains(p.known, key) {
			slices.Sort(p.known)
			return fmt.Errorf("lsl: unknown parameter %q in the URL; there are %s", key, strings.Join(p.known, " "))
		}
	}
	return nil
}

func parameterOf(u *url.URL) (*parameters, string, error) {
	if u.Scheme != "lsl" {
		return nil, "", fmt.Errorf("lsl: the URL has the scheme %s, not lsl", u.Scheme)
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, "", fmt.Errorf("lsl: the URL's parameters cannot be read: %w", err)
	}
	name := u.Host
	if name == "" {
		name = u.Opaque
	}
	if u.User != nil || u.Path != "" && u.Path != "/" {
		return nil, "", fmt.Errorf("lsl: the URL is lsl://NAME?key=value, without a path; write a name with slashes or @ as lsl://?name=NAME")
	}
	if name, err = url.PathUnescape(name); err != nil {
		return nil, "", fmt.Errorf("lsl: name %q in the URL: %w", u.Host, err)
	}
	return &parameters{values: values}, name, nil
}

// Open returns the unopened source that a URL describes:
//
//	lsl://NAME?type=EEG&source_id=...&hostname=...&uid=...&session=...&predicate=XPATH
//	    &markers=NAME (any number of times)
//	    &timeout=10s &mode=all|newest &buffer=360s &chunk=COLUMNS
//	    &repair=all|none|clock,dejitter,monotone &recover=never|DURATION &stale=never|DURATION
//
// Everything is optional: lsl:// is the only stream there is. session=* finds
// streams of all sessions.
func Open(u *url.URL) (*Source, error) {
	p, name, err := parameterOf(u)
	if err != nil {
		return nil, err
	}
	s := &Source{Match: Match{
		Name: name, Type: p.text("type"), SourceID: p.text("source_id"), Hostname: p.text("hostname"),
		UID: p.text("uid"), SessionID: p.text("session"), Predicate: p.text("predicate"),
	}}
	if n := p.text("name"); n != "" {
		s.Match.Name = n
	}
	p.known = append(p.known, "markers")
	for _, m := range p.values["markers"] {
		s.Markers = append(s.Markers, Match{Name: m, SessionID: s.Match.SessionID})
	}
	s.Timeout = p.duration("timeout")
	s.Newest = p.choice("mode", "all", "newest") == "newest"
	s.Buffer = p.duration("buffer").Seconds()
	s.MaxLen = p.integer("chunk", 1<<20)
	s.Repair = p.text("repair")
	s.Recover = p.duration("recover")
	s.Stale = p.duration("stale")
	if err := p.finish(); err != nil {
		return nil, err
	}
	if _, err := compileXPath(s.Match.Predicate); err != nil && s.Match.Predicate != "" {
		return nil, fmt.Errorf("lsl: predicate %q: %w", s.Match.Predicate, err)
	}
	return s, s.parseRepair()
}

// OpenSink returns the unopened sink that a URL describes:
//
//	lsl://NAME?type=...&source_id=...&format=float32|double64|int8|int16|int32|int64
//	    &markers=yes|no &wait=DURATION &buffer=360s
func OpenSink(u *url.URL) (*Sink, error) {
	p, name, err := parameterOf(u)
	if err != nil {
		return nil, err
	}
	s := &Sink{Name: name, Type: p.text("type"), SourceID: p.text("source_id")}
	if n := p.text("name"); n != "" {
		s.Name = n
	}
	s.Format, _ = FormatOf(p.choice("format", "float32", "double64", "int8", "int16", "int32", "int64"))
	s.Markers = p.choice("markers", "yes", "no") == "yes"
	s.Wait = p.duration("wait")
	s.Buffer = p.duration("buffer").Seconds()
	return s, p.finish()
}
