package xdf

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"neurostream/recordings"
	"neurostream/stream"
)

// ConvertOptions are the settings of Convert.
type ConvertOptions struct {
	Stream    string // of an XDF file: number, name or type; "" = the EEG, or else the one with most values
	Overwrite bool   // replace an existing file
}

// ConvertReport says what Convert did.
type ConvertReport struct {
	In          recordings.Info       `json:"in"`
	Out         string                `json:"out"`
	Channels    int                   `json:"channels"`
	Columns     int64                 `json:"columns"`
	Annotations int                   `json:"annotations"`
	Gaps        int                   `json:"gaps"`
	EDF         *recordings.EDFReport `json:"edf,omitempty"` // what EDF or BDF cost in exactness
}

// Convert reads a recording (XDF, EDF, BDF, CSV; see recordings.Open) and writes it
// in the format that out's ending names: .xdf, .edf, .bdf or .csv. From an XDF file
// it takes one regular stream with the markers. out appears only when it is
// complete.
//
// What survives: XDF keeps every value as double64 with annotations and gaps; CSV
// likewise; BDF and EDF quantise (see recordings.WriteEDF and the report).
func Convert(in, out string, o ConvertOptions) (*ConvertReport, error) {
	kind := strings.ToLower(filepath.Ext(out))
	switch kind {
	case ".xdf", ".edf", ".bdf", ".csv":
	default:
		return nil, fmt.Errorf("%s: no format is known by this ending; name the file .xdf, .edf, .bdf or .csv", out)
	}
	if _, err := os.Lstat(out); err == nil && !o.Overwrite {
		return nil, fmt.Errorf("%s: exists already; choose another name, or allow overwriting: %w", out, fs.ErrExist)
	}
	r, err := OpenAny(in, o.Stream)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	h := r.Header()
	report := &ConvertReport{In: r.Info(), Out: out, Channels: h.Rows(), Columns: r.Len(), Annotations: len(r.Annotations()), Gaps: len(r.Gaps())}
	tmp, err := os.CreateTemp(filepath.Dir(out), ".convert-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	switch kind {
	case ".xdf":
		err = WriteRecording(tmp.Name(), r, WriterOptions{Overwrite: true})
	case ".csv":
		err = recordings.WriteCSV(tmp, r)
	default:
		bits := 16
		if kind == ".bdf" {
			bits = 24
		}
		b := bufio.NewWriter(tmp)
		if report.EDF, err = recordings.WriteEDF(b, r, recordings.EDFOptions{Bits: bits}); err == nil {
			err = b.Flush()
		}
	}
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), out)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", out, err)
	}
	return report, nil
}

// OpenAny opens a recording of any format this module reads: XDF here (want chooses the
// stream, as RecordingOptions.Stream does), CSV by its ending, all others by
// recordings.Open.
func OpenAny(path, want string) (recordings.Recording, error) {
	if strings.HasSuffix(strings.TrimSuffix(strings.ToLower(path), ".gz"), ".csv") {
		return recordings.OpenCSV(path)
	}
	if format, err := recordings.Detect(path); err == nil && format == recordings.FormatXDF {
		return OpenRecording(path, RecordingOptions{Stream: want})
	}
	return recordings.Open(path)
}

// Channels of the marker stream that WriteRecording makes.
const (
	labelChannel    = "label"
	durationChannel = "duration"
)

// WriteRecording writes a recording as an XDF file of its own: the samples as
// double64 with stamps that count from 0 and jump over gaps; when there are annotations,
// a marker stream of labels and durations; and when there are gaps, a stream that says
// before which column and how long each was, so that the shortest is kept.
func WriteRecording(path string, r recordings.Recording, o WriterOptions) error {
	h := r.Header()
	if !(h.Rate > 0) {
		return errors.New("xdf: the recording has no fixed rate")
	}
	if o.Created.IsZero() {
		if o.Created = r.Start(); o.Created.IsZero() {
			o.Created = time.Unix(0, 0).UTC()
		}
	}
	w, err := Create(path, o)
	if err != nil {
		return err
	}
	err = writeRecording(w, r, &h)
	return errors.Join(err, w.Close())
}

func writeRecording(w *Writer, r recordings.Recording, h *stream.Header) error {
	kind := recordings.TypeEEG
	if len(h.Channels) > 0 && h.Channels[0].Type != "" {
		kind = h.Channels[0].Type
	}
	info := Info{Name: h.Name, Type: kind, Format: Double64, Rate: h.Rate, Channels: Channels(h), SourceID: "file:" + h.Name}
	if strings.TrimSpace(info.Name) == "" {
		info.Name = "recording"
	}
	id, err := w.AddStream(info)
	if err != nil {
		return err
	}
	notes := r.Annotations()
	if len(notes) > 0 {
		marks, err := w.AddStream(Info{
			Name: info.Name + " markers", Type: "Markers", Format: String, SourceID: info.SourceID + " markers",
			Channels: []Channel{{Label: labelChannel, Type: "Marker"}, {Label: durationChannel, Unit: "seconds", Type: "Marker"}},
		})
		if err != nil {
			return err
		}
		for _, a := range notes {
			if err := w.WriteStrings(marks, []float64{a.Onset}, []string{a.Label, strconv.FormatFloat(a.Duration, 'g', -1, 64)}); err != nil {
				return err
			}
		}
	}
	gaps := r.Gaps()
	events := uint32(0)
	if len(gaps) > 0 {
		if events, err = w.AddStream(Info{
			Name: info.Name + " events", Type: "Events", Format: String, SourceID: info.SourceID + " events",
			Channels: []Channel{{Label: EventChannel}},
		}); err != nil {
			return err
		}
	}
	c := new(stream.Chunk)
	c.Alloc(h.Rows(), max(1, h.MaxLen))
	stamps := make([]float64, 0, c.Cap())
	base, first, lost := 0.0, int64(0), int64(0) // base: time of column first, where the last gap ended
	at := func(col int64) float64 { return base + float64(col-first)/h.Rate }
	for from := int64(0); from < r.Len(); from += int64(c.Len) {
		if err := r.ReadAt(c, from); err != nil {
			return err
		}
		stamps = stamps[:0]
		for i := range c.Len {
			col := from + int64(i)
			p := place{Sample: col}
			for len(gaps) > 0 && gaps[0].Column <= col {
				g := gaps[0]
				base, first, gaps = at(g.Column)+g.Seconds, g.Column, gaps[1:]
				p.Seconds += g.Seconds
				if p.Break != breakRestart {
					p.Break = breakGap
				}
				if g.Restart {
					p.Break = breakRestart
				}
			}
			stamps = append(stamps, at(col))
			if events != 0 && (i == 0 || p.Break != "") {
				missing := math.Round(p.Seconds * h.Rate)
				if !(missing < maxColumn) {
					return fmt.Errorf("xdf: a gap of %g s before column %d", p.Seconds, col)
				}
				if lost += int64(missing); p.Seconds == missing/h.Rate {
					p.Seconds = 0 // as its columns
				}
				if p.Column, p.stamp = col+lost, at(col); col == 0 {
					p.Break, p.Seconds = "", 0 // nothing is before it
				}
				if err := w.writePlace(events, id, p); err != nil {
					return err
				}
			}
		}
		if err := w.WriteChunk(id, c, stamps); err != nil {
			return err
		}
		if err := w.Boundary(); err != nil {
			return err
		}
	}
	if events == 0 {
		return nil
	}
	return w.writePlace(events, id, place{Sample: r.Len(), Column: r.Len() + lost, stamp: at(r.Len())})
}
