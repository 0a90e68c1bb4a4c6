package bci

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"neurostream/stream"
)

// rowFile writes every column of a stream as a line of text: CSV with a header
// that carries units, or one JSON object a line. Events and markers stand between
// the columns: in CSV as comment lines starting with "# ", in JSON as objects with
// an "event" or "marker" key.
type rowFile struct {
	path   string // "-" = standard output
	json   bool
	stdout io.Writer

	w      *bufio.Writer
	f      *os.File
	header stream.Header
	line   []byte
	names  []string // quoted keys
}

func (r *rowFile) Open(_ context.Context, h stream.Header) error {
	r.header = h
	switch r.path {
	case "-":
		r.w = bufio.NewWriterSize(r.stdout, 1<<16)
	default:
		f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if os.IsExist(err) {
			return fmt.Errorf("the file exists already and is not overwritten; choose another name or move it away")
		}
		if err != nil {
			return fileProblem(r.path, err)
		}
		r.f, r.w = f, bufio.NewWriterSize(f, 1<<16)
	}
	if r.json {
		for _, c := range h.Channels {
			q, _ := json.Marshal(c.Label)
			r.names = append(r.names, string(q))
		}
		return nil
	}
	cols := []string{"column", "time (s)"}
	for _, c := range h.Channels {
		l := c.Label
		if c.Unit != "" {
			l += " (" + c.Unit + ")"
		}
		cols = append(cols, csvField(l))
	}
	_, err := r.w.WriteString(strings.Join(cols, ",") + "\n")
	return err
}

func csvField(s string) string {
	if strings.ContainsAny(s, ",\"\n\r") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

func (r *rowFile) Write(c *stream.Chunk) error {
	for _, e := range c.Events {
		if err := r.note("event", e.Kind.String(), e.Seq, e.Time, e); err != nil {
			return err
		}
	}
	m := 0
	for i := range c.Len {
		t := c.T0
		if r.header.Rate > 0 {
			t += stream.Time(math.Round(float64(i) / r.header.Rate * 1e9))
		}
		for ; m < len(c.Markers) && c.Markers[m].Column <= i; m++ {
			if err := r.note("marker", c.Markers[m].Label, c.Seq+int64(i), c.Markers[m].Time, c.Markers[m]); err != nil {
				return err
			}
		}
		b := r.line[:0]
		if r.json {
			b = append(b, `{"column":`...)
			b = strconv.AppendInt(b, c.Seq+int64(i), 10)
			b = append(b, `,"time_s":`...)
			b = strconv.AppendFloat(b, t.Seconds(), 'f', 6, 64)
			for ch, name := range r.names {
				b = append(b, ',')
				b = append(b, name...)
				b = append(b, ':')
				b = strconv.AppendFloat(b, c.At(ch, i), 'g', -1, 64)
			}
			b = append(b, '}')
		} else {
			b = strconv.AppendInt(b, c.Seq+int64(i), 10)
			b = append(b, ',')
			b = strconv.AppendFloat(b, t.Seconds(), 'f', 6, 64)
			for ch := range c.Rows() {
				b = append(b, ',')
				b = strconv.AppendFloat(b, c.At(ch, i), 'g', -1, 64)
			}
		}
		r.line = append(b, '\n')
		if _, err := r.w.Write(r.line); err != nil {
			return err
		}
	}
	if r.path == "-" {
		return r.w.Flush()
	}
	return nil
}

func (r *rowFile) note(what, name string, seq int64, t stream.Time, v any) error {
	if !r.json {
		_, err := fmt.Fprintf(r.w, "# %s %s at column %d, %.6f s: %+v\n", what, strconv.Quote(name), seq, t.Seconds(), v)
		return err
	}
	b, err := json.Marshal(map[string]any{what: name, "column": seq, "time_s": t.Seconds(), "detail": v})
	if err != nil {
		return err
	}
	_, err = r.w.Write(append(b, '\n'))
	return err
}

func (r *rowFile) Close() error {
	if r.w == nil {
		return nil
	}
	err := r.w.Flush()
	if r.f != nil {
		if e := r.f.Close(); err == nil {
			err = e
		}
	}
	return err
}
