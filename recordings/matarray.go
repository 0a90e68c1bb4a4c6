package recordings

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"neurostream/stream"
)

// MATLAB files that are no EEGLAB dataset but hold a recording plainly, as variables or
// as the fields of one struct:
//
//	x or y   samples × channels        fs     rate in Hz
//	chan     names, optional           trig   one value per sample, 0 = nothing; or
//	t        event positions in samples, from 1    y_class, y_dec   name or number of each
//
// The first form is that of g.tec's P300 sets, the second of OpenBMI's recordings.

// openMatArray returns the recording, or nil when the variables hold none.
func openMatArray(path string, vars map[string]*matValue) (*Memory, error) {
	get := func(name string) *matValue { return vars[name] }
	if get("fs") == nil {
		for _, v := range vars {
			if v.count == 1 && v.field(0, "fs") != nil && (v.field(0, "x") != nil || v.field(0, "y") != nil) {
				get = func(name string) *matValue { return v.field(0, name) }
			}
		}
	}
	rate, ok := get("fs").number()
	data := get("x")
	if data == nil || data.raw == nil {
		data = get("y")
	}
	if !ok || data == nil || data.raw == nil || len(data.dims) != 2 {
		return nil, nil
	}
	columns, channels := data.dims[0], data.dims[1]
	if columns < channels { // channels × samples
		columns, channels = channels, columns
	}
	if !(rate > 0) || math.IsInf(rate, 0) || channels < 1 || channels > 4096 || columns < 1 {
		return nil, fmt.Errorf("%s: %d samples of %d channels at %v Hz are no recording", path, columns, channels, rate)
	}
	m := &Memory{Stream: stream.Header{Name: streamName(path), Rate: rate, MaxLen: 1024}, About: Info{Format: "MATLAB", Path: path}, Data: new(stream.Chunk)}
	names := get("chan")
	for i := range channels {
		label := "ch " + strconv.Itoa(i+1)
		if names != nil && i < len(names.cells) && names.cells[i] != nil && strings.TrimSpace(names.cells[i].text) != "" {
			label = strings.TrimSpace(names.cells[i].text)
		}
		m.Stream.Channels = append(m.Stream.Channels, DescribeChannel(label, "uV", "EEG"))
	}
	UniqueLabels(m.Stream.Channels)
	m.Data.Alloc(channels, columns)
	m.Data.Resize(columns)
	size, across := data.code.size(), data.dims[0] == columns && data.dims[1] == channels
	for ch := range channels {
		for i := range columns {
			at := ch*columns + i // MATLAB stores column by column
			if !across {
				at = i*channels + ch
			}
			m.Data.Set(ch, i, data.code.value(data.raw[at*size:]))
		}
	}
	if err := m.matEvents(get, columns); err != nil {
		return nil, err
	}
	if err := m.Stream.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// matEvents reads the annotations.
func (m *Memory) matEvents(get func(string) *matValue, columns int) error {
	at := func(v *matValue, i int) float64 { return v.code.value(v.raw[i*v.code.size():]) }
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	if trig := get("trig"); trig != nil && trig.raw != nil {
		if trig.count != columns {
			return fmt.Errorf("%s: trig has %d values for %d samples", m.About.Path, trig.count, columns)
		}
		before := 0.0
		for i := range columns {
			v := at(trig, i)
			if v != 0 && v != before {
				m.Notes = append(m.Notes, Annotation{Onset: float64(i) / m.Stream.Rate, Label: number(v)})
			}
			before = v
		}
		return nil
	}
	t, names, codes := get("t"), get("y_class"), get("y_dec")
	if t == nil || t.raw == nil {
		return nil
	}
	for i := range t.count {
		label := "event"
		switch {
		case names != nil && i < len(names.cells) && names.cells[i] != nil && names.cells[i].text != "":
			label = names.cells[i].text
		case codes != nil && codes.raw != nil && i < codes.count:
			label = number(at(codes, i))
		}
		if v := at(t, i); v >= 1 && v <= float64(columns) {
			m.Notes = append(m.Notes, Annotation{Onset: (math.Round(v) - 1) / m.Stream.Rate, Label: label})
		}
	}
	return nil
}

// zeroIsNothing removes annotations "0" where every column has one: then the column was a
// trigger channel.
func (m *Memory) zeroIsNothing(columns int) {
	if len(m.Notes) < columns {
		return
	}
	kept := m.Notes[:0]
	for _, n := range m.Notes {
		if n.Label != "0" && n.Label != "0.0" {
			kept = append(kept, n)
		}
	}
	m.Notes = kept
}
