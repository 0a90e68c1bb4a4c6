package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Link is a stage and the name it goes by in errors and measurements.
type Link struct {
	Name  string
	Stage Stage
}

// Chain is a slice of stages that is itself a Stage. It owns every chunk between
// them. The zero value with Links set is ready to Open; an empty chain copies.
type Chain struct {
	Links []Link
	// Probe, when set, is called with -1 before the first stage and with i after
	// stage i of every Process: the place to measure.
	Probe func(i int)

	headers []Header // headers[i] is the output of stage i
	between []*Chunk // between[i] is the output of stage i, except the last
	current int
	failed  string
}

// Open opens the stages in order.
func (c *Chain) Open(in Header) (Header, error) {
	c.headers, c.between, c.current, c.failed = c.headers[:0], c.between[:0], -1, ""
	if err := in.Validate(); err != nil {
		return Header{}, err
	}
	h := in
	for i, l := range c.Links {
		c.failed = l.Name
		out, err := l.Stage.Open(h.Clone())
		if err != nil {
			return Header{}, fmt.Errorf("%s: %w", l.Name, err)
		}
		if err := out.Validate(); err != nil {
			return Header{}, fmt.Errorf("%s announces an impossible output: %w", l.Name, err)
		}
		c.headers = append(c.headers, out)
		if i < len(c.Links)-1 {
			c.between = append(c.between, NewChunk(&out))
		}
		h = out
	}
	c.failed = ""
	return h, nil
}

// Failed names the stage that Open failed at, or is "".
func (c *Chain) Failed() string { return c.failed }

// Header returns the output header of stage i.
func (c *Chain) Header(i int) Header { return c.headers[i] }

// Chunk returns the output of stage i of the last Process, except of the last
// stage, whose output is Process's dst. It is valid until the next Process.
func (c *Chain) Chunk(i int) *Chunk { return c.between[i] }

// Current names the stage that is running, or ran last: for reporting a panic.
func (c *Chain) Current() string {
	if c.current < 0 || c.current >= len(c.Links) {
		return ""
	}
	return c.Links[c.current].Name
}

// Process runs src through all stages into dst.
func (c *Chain) Process(dst, src *Chunk) {
	if c.Probe != nil {
		c.Probe(-1)
	}
	last := len(c.Links) - 1
	if last < 0 {
		dst.CopyFrom(src)
		return
	}
	for i := range c.Links {
		c.current = i
		out := dst
		if i < last {
			out = c.between[i]
		}
		c.Links[i].Stage.Process(out, src)
		src = out
		if c.Probe != nil {
			c.Probe(i)
		}
	}
}

// Reset resets every stage.
func (c *Chain) Reset() {
	for _, l := range c.Links {
		l.Stage.Reset()
	}
}

// Snapshot appends the states of all stages, each behind its length.
func (c *Chain) Snapshot(dst []byte) []byte {
	for _, l := range c.Links {
		at := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		if s, ok := l.Stage.(Snapshotter); ok {
			dst = s.Snapshot(dst)
		}
		binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst
}

// Restore sets the states of all stages.
func (c *Chain) Restore(state []byte) error {
	for _, l := range c.Links {
		if len(state) < 4 {
			return fmt.Errorf("stage %s: %w", l.Name, ErrState)
		}
		n := binary.LittleEndian.Uint32(state)
		if uint64(n) > uint64(len(state)-4) {
			return fmt.Errorf("stage %s: %w", l.Name, ErrState)
		}
		if s, ok := l.Stage.(Snapshotter); ok {
			if err := s.Restore(state[4 : 4+n]); err != nil {
				return fmt.Errorf("stage %s: %w", l.Name, err)
			}
		} else if n != 0 {
			return fmt.Errorf("stage %s has no state: %w", l.Name, ErrState)
		}
		state = state[4+n:]
	}
	if len(state) != 0 {
		return ErrState
	}
	return nil
}

// ErrState says that a saved state does not belong to the stage it is given to.
var ErrState = errors.New("the saved state does not fit this stage")
