package xdf

import (
	"encoding/xml"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"neurostream/stream"
)

// Info describes a stream.
type Info struct {
	Name     string
	Type     string // content type, e.g. "EEG", "Markers"
	Format   Format
	Rate     float64 // nominal samples per second; 0 = irregular
	Channels []Channel
	SourceID string
	Hostname string
	XML      string   // the header as stored; when writing, "" makes one of the fields above
	Tree     *Element // XML parsed; nil when the header is damaged and only its main fields could be saved
}

// Channel is what a stream's header says about a channel; often nothing.
type Channel struct{ Label, Unit, Type string }

// CanDropSamples reports whether the header says that the device may leave out
// samples (desc/synchronization/can_drop_samples), so that its stamps cannot be
// smoothed.
func (i *Info) CanDropSamples() bool {
	return strings.EqualFold(i.Tree.Value("desc/synchronization/can_drop_samples"), "true")
}

// parseInfo reads a stream header. With damaged XML the fields that decoding needs
// are still looked for; Tree is nil then, and note says so.
func parseInfo(data []byte) (info Info, note string, err error) {
	tree, xmlErr := parseXML(data)
	get := tree.Value
	if xmlErr != nil {
		tree, note = nil, fmt.Sprintf("header XML damaged (%v)", xmlErr)
		get = func(name string) string { return salvage(data, name) }
	}
	info = Info{Name: get("name"), Type: get("type"), SourceID: get("source_id"), Hostname: get("hostname"), XML: string(data), Tree: tree}
	var ok bool
	if info.Format, ok = ParseFormat(get("channel_format")); !ok {
		return info, note, fmt.Errorf("channel_format %q is none of float32, double64, string, int8, int16, int32, int64", get("channel_format"))
	}
	n, err := strconv.Atoi(get("channel_count"))
	if err != nil || n < 1 || n > stream.MaxChannels {
		return info, note, fmt.Errorf("channel_count %q is not a number from 1 to %d", get("channel_count"), stream.MaxChannels)
	}
	if info.Rate, err = strconv.ParseFloat(get("nominal_srate"), 64); err != nil || !(info.Rate >= 0) || math.IsInf(info.Rate, 0) {
		return info, note, fmt.Errorf("nominal_srate %q is not a rate", get("nominal_srate"))
	}
	info.Channels = make([]Channel, n)
	if list := tree.Find("desc/channels"); list != nil {
		i := 0
		for k := range list.Children {
			c := &list.Children[k]
			if c.Name != "channel" || i == n {
				continue
			}
			info.Channels[i] = Channel{Label: c.Value("label"), Unit: c.Value("unit"), Type: c.Value("type")}
			i++
		}
	}
	return info, note, nil
}

// Validate reports the first thing that keeps a stream from being written.
func (i *Info) Validate() error {
	switch {
	case strings.TrimSpace(i.Name) == "":
		return errors.New("xdf: a stream needs a name")
	case i.Format < Float32 || i.Format > Int64:
		return fmt.Errorf("xdf: stream %q has no format; set one of float32, double64, string, int8, int16, int32, int64", i.Name)
	case len(i.Channels) == 0 || len(i.Channels) > stream.MaxChannels:
		return fmt.Errorf("xdf: stream %q has %d channels; allowed are 1 to %d", i.Name, len(i.Channels), stream.MaxChannels)
	case !(i.Rate >= 0) || math.IsInf(i.Rate, 0):
		return fmt.Errorf("xdf: stream %q has a rate of %v Hz; a rate is positive, or 0 for irregular", i.Name, i.Rate)
	}
	return nil
}

// header returns the XML to store: XML as it is, or one made of the fields.
func (i *Info) header() ([]byte, error) {
	if i.XML != "" {
		got, _, err := parseInfo([]byte(i.XML))
		if err != nil {
			return nil, fmt.Errorf("xdf: header XML of stream %q: %w", i.Name, err)
		}
		if got.Format != i.Format || got.Rate != i.Rate || len(got.Channels) != len(i.Channels) {
			return nil, fmt.Errorf("xdf: header XML of stream %q says %d x %v at %v Hz, but %d x %v at %v Hz was asked for",
				i.Name, len(got.Channels), got.Format, got.Rate, len(i.Channels), i.Format, i.Rate)
		}
		return []byte(i.XML), nil
	}
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><info>`)
	put := func(name, value string) { b.WriteString("<" + name + ">" + escape(value) + "</" + name + ">") }
	put("name", i.Name)
	put("type", i.Type)
	put("channel_count", strconv.Itoa(len(i.Channels)))
	put("nominal_srate", strconv.FormatFloat(i.Rate, 'g', -1, 64))
	put("channel_format", i.Format.String())
	put("source_id", i.SourceID)
	put("hostname", i.Hostname)
	b.WriteString("<desc><channels>")
	for _, c := range i.Channels {
		b.WriteString("<channel>")
		put("label", c.Label)
		put("unit", c.Unit)
		put("type", c.Type)
		b.WriteString("</channel>")
	}
	b.WriteString("</channels></desc></info>")
	return []byte(b.String()), nil
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder does not fail
	return b.String()
}
