package recordings

import (
	"fmt"
	"strconv"
)

// readStatus makes annotations of the Status signal of a plain BDF file, BioSemi's
// trigger input: 24-bit words whose lower 16 bits are the trigger lines. A trigger is
// a change of these to a value that is not 0; its label is the value in decimal, and
// it lasts until the next change.
func (r *edf) readStatus() error {
	h := r.head
	for i := range h.signals {
		s := &h.signals[i]
		if s.label != "Status" || s.perRecord == 0 || !(h.duration > 0) {
			continue
		}
		rate := float64(s.perRecord) / h.duration
		buf := make([]byte, 3*s.perRecord)
		last, open := -1, -1 // trigger value; index of the annotation that lasts
		end := func(t float64) {
			if open >= 0 {
				r.annotations[open].Duration = t - r.annotations[open].Onset
				open = -1
			}
		}
		for rec := range r.count {
			at := h.headerBytes + rec*int64(h.recordBytes) + int64(s.offset)
			if n, err := r.file.ReadAt(buf, at); n < len(buf) {
				return fmt.Errorf("%s: byte %d: the Status signal cannot be read: %w", r.path, at, err)
			}
			for k := range s.perRecord {
				v := int(buf[3*k]) | int(buf[3*k+1])<<8
				if v == last {
					continue
				}
				t := float64(rec*int64(s.perRecord)+int64(k)) / rate
				end(t)
				if v != 0 && last >= 0 && len(r.annotations) < maxEvents {
					open = len(r.annotations)
					r.annotations = append(r.annotations, Annotation{Onset: t, Label: strconv.Itoa(v)})
				}
				last = v
			}
		}
		end(float64(r.count) * h.duration)
		r.note("Annotations", fmt.Sprintf("%d triggers of the Status signal", len(r.annotations)))
		return nil
	}
	return nil
}
