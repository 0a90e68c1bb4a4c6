package lsl

import (
	"fmt"
	"strings"

	"neurostream/stream"
)

// The description of a signal stream, as all LSL programs read and write it:
//
//	<desc><channels><channel>
//		<label>C3</label> <unit>microvolts</unit> <type>EEG</type>
//		<location> <X>-65.4</X> <Y>-11.6</Y> <Z>64.4</Z> </location>     (millimetres)
//	</channel> ...

var units = map[string]string{
	"microvolts": "uV", "microvolt": "uV", "µV": "uV", "μV": "uV", "muV": "uV",
	"millivolts": "mV", "volts": "V", "degrees": "deg", "normalized": "",
}

// headerOf describes a stream for a pipeline. Missing or doubled labels are
// numbered.
func headerOf(i *Info, maxLen int) stream.Header {
	h := stream.Header{Name: i.Name, Rate: i.Rate, MaxLen: maxLen, Channels: make([]stream.Channel, i.Channels)}
	if maxLen == 0 {
		h.MaxLen = int(min(max(8, i.Rate/8), 4096))
	}
	if i.Rate == 0 {
		h.MaxLen = 1
	}
	seen := map[string]bool{}
	var described []*Element
	if list := i.Desc.Child("channels"); list != nil {
		for _, e := range list.Children {
			if e.Name == "channel" {
				described = append(described, e)
			}
		}
	}
	for k := range h.Channels {
		ch := &h.Channels[k]
		ch.Type = i.Type
		if k < len(described) {
			e := described[k]
			ch.Label = strings.TrimSpace(e.Child("label").Value())
			ch.Unit = strings.TrimSpace(e.Child("unit").Value())
			if u, ok := units[ch.Unit]; ok {
				ch.Unit = u
			}
			if t := strings.TrimSpace(e.Child("type").Value()); t != "" {
				ch.Type = t
			}
			ch.Position, ch.Placed = position(e.Child("location"))
		}
		if ch.Label == "" {
			ch.Label = fmt.Sprintf("ch%d", k+1)
			if i.Format == String && i.Channels == 1 {
				ch.Label = "marker"
			}
		}
		base := ch.Label
		for n := 2; seen[ch.Label]; n++ {
			ch.Label = fmt.Sprintf("%s (%d)", base, n)
		}
		seen[ch.Label] = true
	}
	return h
}

func position(e *Element) (p [3]float64, ok bool) {
	for k, axis := range []string{"X", "Y", "Z"} {
		v, err := parseNumber(e.Child(axis).Value())
		if err != nil {
			return [3]float64{}, false
		}
		p[k] = v / 1000
	}
	return p, true
}

// describe is the inverse of headerOf.
func describe(h *stream.Header) *Element {
	d := &Element{Name: "desc"}
	d.Add("manufacturer", "neurostream")
	if h.Delay > 0 {
		// How long after the event a sample is complete: what recorders subtract.
		s := d.Add("synchronization", "")
		s.Add("offset_mean", fmt.Sprint(h.Delay))
	}
	list := d.Add("channels", "")
	for i := range h.Channels {
		c := &h.Channels[i]
		e := list.Add("channel", "")
		e.Add("label", c.Label)
		unit := c.Unit
		if unit == "uV" {
			unit = "microvolts"
		}
		e.Add("unit", unit)
		e.Add("type", c.Type)
		if c.Placed {
			l := e.Add("location", "")
			for k, axis := range []string{"X", "Y", "Z"} {
				l.Add(axis, fmt.Sprintf("%g", c.Position[k]*1000))
			}
		}
	}
	return d
}
