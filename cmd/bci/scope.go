package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"unicode/utf8"

	"neurostream/stream"
)

// scope is a sink that keeps the newest two seconds of every channel, in cells of equal
// length on a grid of column indices, and draws them as text. Its memory does not grow
// with the rate.
//
//	column   0 ······ 24 │ 25 ····· 49 │ …       a cell is a glyph
type scope struct {
	cells int // of the window

	mu       sync.Mutex
	h        stream.Header
	per      int64  // columns of a cell
	newest   int64  // index of the newest cell; -1 = nothing yet
	all      []cell // channel by channel, a ring of cells each
	columns  int64
	gaps     int64
	missing  int64 // columns
	next     int64
	first    stream.Time // arrival of the first and the newest chunk
	last     stream.Time
	counted  int64 // columns that came after the first chunk
	marker   string
	markers  int64
	event    string
	complete bool // the window has been filled once
}

// cell is what is kept of one channel in one stretch of columns.
type cell struct {
	n         int     // good samples
	bad       int     // others
	origin    float64 // first good sample; sums are of differences from it
	sum, sum2 float64
}

const (
	scopeCells   = 40
	scopeSeconds = 2.0
)

// Open begins anew.
func (s *scope) Open(_ context.Context, h stream.Header) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.h, s.newest = h, -1
	s.per = 1 // irregular: a glyph a sample
	if h.Rate > 0 {
		s.per = max(1, int64(math.Round(h.Rate*scopeSeconds/float64(s.cells))))
	}
	s.all = make([]cell, h.Rows()*s.cells)
	return nil
}

// Write takes in a chunk.
func (s *scope) Write(c *stream.Chunk) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range c.Events {
		s.event = c.Events[i].String()
	}
	for i := range c.Markers {
		s.markers++
		s.marker = c.Markers[i].Label
	}
	if c.Len == 0 {
		return nil
	}
	if s.columns > 0 && (c.Flags.Broken() || c.Seq != s.next) {
		s.gaps++
		s.missing += max(0, c.Seq-s.next)
	}
	if s.columns == 0 {
		s.first = c.Arrived
	} else {
		s.counted += int64(c.Len)
	}
	s.last, s.next = c.Arrived, c.Seq+int64(c.Len)
	s.columns += int64(c.Len)
	for i := range c.Len {
		at := (c.Seq + int64(i)) / s.per
		s.advance(at)
		slot := int(at % int64(s.cells))
		for ch := range c.Rows() {
			s.all[ch*s.cells+slot].add(c.At(ch, i), c.IsBad(ch, i))
		}
	}
	return nil
}

// advance empties the cells up to at, which becomes the newest.
func (s *scope) advance(at int64) {
	if s.newest < 0 {
		s.newest = at - 1
	} else if at-s.newest > int64(s.cells) {
		s.newest = at - int64(s.cells)
	}
	for ; s.newest < at; s.newest++ {
		slot := int((s.newest + 1) % int64(s.cells))
		for ch := range s.h.Rows() {
			s.all[ch*s.cells+slot] = cell{}
		}
	}
	s.complete = s.complete || s.columns >= s.per*int64(s.cells)
}

func (c *cell) add(v float64, bad bool) {
	if bad || math.IsNaN(v) || math.IsInf(v, 0) {
		c.bad++
		return
	}
	if c.n == 0 {
		c.origin = v
	}
	d := v - c.origin
	c.sum += d
	c.sum2 += float64(d * d)
	c.n++
}

func (c *cell) mean() float64 { return c.origin + c.sum/float64(c.n) }

// Close keeps what there is.
func (s *scope) Close() error { return nil }

// full reports whether a whole window has come.
func (s *scope) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.complete
}

// draw returns the picture at a time: at most height lines of at most width characters;
// nil before the source is open.
func (s *scope) draw(now stream.Time, width, height int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.h.Rows() == 0 {
		return nil
	}
	nominal, measured, age := "irregular", "-", "nothing has come yet"
	if s.h.Rate > 0 {
		nominal = fmt.Sprintf("%g Hz", s.h.Rate)
	}
	if d := (s.last - s.first).Seconds(); d > 0 {
		measured = fmt.Sprintf("%.1f Hz", float64(s.counted)/d)
	}
	if s.columns > 0 {
		age = fmt.Sprintf("newest %.0f ms old", max(0, (now-s.last).Seconds())*1e3)
		if old := (now - s.last).Seconds(); old >= 2 {
			age = fmt.Sprintf("QUIET for %.0f s", old)
		}
	}
	lines := []string{
		fmt.Sprintf("%s: %d channels, %s, measured %s, %s", printable(s.h.Name), s.h.Rows(), nominal, measured, age),
		fmt.Sprintf("%d samples, %d gaps, %d missing, %d markers", s.columns, s.gaps, s.missing, s.markers),
	}
	if s.marker != "" {
		lines[1] += fmt.Sprintf(" (last %q)", printable(s.marker))
	}
	if s.event != "" {
		lines = append(lines, "last event: "+printable(s.event))
	}
	span := fmt.Sprintf("last %d samples", s.cells)
	if s.h.Rate > 0 {
		span = fmt.Sprintf("last %.3g s", float64(s.per)*float64(s.cells)/s.h.Rate)
	}
	lines = append(lines, fmt.Sprintf("%-12s %-6s %10s %10s  %s", "channel", "unit", "mean", "spread", span))
	rows := s.h.Rows()
	if most := height - len(lines); rows > most {
		rows = max(0, most-1)
	}
	for ch := range rows {
		lines = append(lines, s.row(ch))
	}
	if left := s.h.Rows() - rows; left > 0 {
		lines = append(lines, fmt.Sprintf("and %d channels more, for which the window is too low", left))
	}
	for i, l := range lines {
		if utf8.RuneCountInString(l) > width {
			lines[i] = string([]rune(l)[:max(0, width-1)]) + "…"
		}
	}
	return lines[:min(len(lines), max(0, height))]
}

var glyphs = []rune("▁▂▃▄▅▆▇█")

// row draws a channel: means of cells between the least and the greatest of the window.
// A dot is a cell without samples, an x one without good ones.
func (s *scope) row(ch int) string {
	cells := s.all[ch*s.cells:][:s.cells]
	least, most := math.Inf(1), math.Inf(-1)
	n, bad, sum := 0, 0, 0.0
	for i := range cells {
		c := &cells[i]
		bad += c.bad
		if c.n > 0 {
			m := c.mean()
			least, most = min(least, m), max(most, m)
			n += c.n
			sum += float64(m * float64(c.n))
		}
	}
	mean, spread := math.NaN(), math.NaN()
	if n > 0 {
		mean = sum / float64(n)
		square := 0.0
		for i := range cells {
			if c := &cells[i]; c.n > 0 {
				within := c.sum2 - float64(c.sum*c.sum)/float64(c.n)
				square += max(0, within) + float64(float64(c.n)*(c.mean()-mean)*(c.mean()-mean))
			}
		}
		spread = math.Sqrt(square / float64(n))
	}
	var line strings.Builder
	for k := s.newest - int64(s.cells) + 1; k <= s.newest; k++ {
		c := &cells[int((k+int64(s.cells))%int64(s.cells))]
		switch {
		case c.n == 0 && c.bad == 0:
			line.WriteByte('.')
		case c.n == 0:
			line.WriteByte('x')
		case most == least:
			line.WriteRune(glyphs[3])
		default:
			line.WriteRune(glyphs[min(7, int(8*(c.mean()-least)/(most-least)))])
		}
	}
	unit := s.h.Channels[ch].Unit
	if unit == "" {
		unit = "-"
	}
	text := fmt.Sprintf("%-12.12s %-6.6s %10s %10s  %s", printable(s.h.Channels[ch].Label), printable(unit), short(mean), short(spread), line.String())
	switch {
	case n == 0 && bad == 0:
	case n == 0:
		text += "  bad"
	case bad > 0:
		text += fmt.Sprintf("  %.0f %% bad", 100*float64(bad)/float64(n+bad))
	case spread == 0:
		text += "  flat"
	}
	return text
}

// short writes a number in ten characters at most.
func short(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "-"
	case a >= 1e6 || a > 0 && a < 1e-3:
		return fmt.Sprintf("%.2e", v)
	case a >= 1000:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
