package recordings

import (
	"bytes"
	"fmt"
	"io"
	"sort"
)

// Time-stamped annotation lists (TAL) of EDF+, one or more per record:
//
//	+onset [0x15 duration] 0x14 text 0x14 text … 0x14 0x00
//
// The first TAL of the first annotation signal of a record has an empty first text;
// its onset is the record's start. Onsets count from the file's start time.
const (
	talText     = 0x14
	talDuration = 0x15
	maxNotes    = 20
)

// edfTimeline is what the annotation signals say.
type edfTimeline struct {
	onsets      []float64 // start of each record, seconds since the file's start; EDF+ only
	annotations []Annotation
	broken      int   // TALs that could not be read
	brokenAt    int64 // byte of the first of them
}

// readEDFTimeline reads the annotation signals of all records, and nothing else.
func readEDFTimeline(path string, r io.ReaderAt, h *edfHeader, records int64) (*edfTimeline, error) {
	t := &edfTimeline{onsets: make([]float64, 0, min(records, 1<<16))}
	first := true
	for i := range h.signals {
		s := &h.signals[i]
		if !h.annotation(s) {
			continue
		}
		buf := make([]byte, s.perRecord*h.wide)
		for rec := range records {
			at := h.headerBytes + rec*int64(h.recordBytes) + int64(s.offset)
			if n, err := r.ReadAt(buf, at); err != nil && n < len(buf) {
				return nil, fileError(path, err)
			}
			onset, kept := t.record(buf, at, first)
			if !first {
				continue
			}
			if !kept {
				if h.gaps {
					return nil, fmt.Errorf("%s: byte %d: record %d has no start time, which %s needs; mark the file as EDF+C if it has no gaps",
						path, at, rec+1, h.format())
				}
				onset = float64(float64(rec) * h.duration)
				if rec > 0 {
					onset += t.onsets[0]
				}
			}
			t.onsets = append(t.onsets, onset)
		}
		first = false
	}
	sort.SliceStable(t.annotations, func(i, j int) bool { return t.annotations[i].Onset < t.annotations[j].Onset })
	return t, nil
}

// record reads the TALs of one record. With timed, the first one gives the record's
// onset; ok says that it was there.
func (t *edfTimeline) record(buf []byte, at int64, timed bool) (onset float64, ok bool) {
	pos := 0
	for pos < len(buf) {
		if buf[pos] == 0 { // unused space
			pos++
			continue
		}
		end := bytes.IndexByte(buf[pos:], 0)
		if end < 0 {
			end = len(buf) - pos
		}
		tal := buf[pos : pos+end]
		on, dur, texts, good := parseTAL(tal)
		switch {
		case !good:
			if t.broken++; t.broken == 1 {
				t.brokenAt = at + int64(pos)
			}
		default:
			if timed && !ok && len(texts) > 0 && len(texts[0]) == 0 {
				onset, ok = on, true
				texts = texts[1:]
			}
			for _, s := range texts {
				if len(s) > 0 {
					t.annotations = append(t.annotations, Annotation{Onset: on, Duration: dur, Label: validText(string(s))})
				}
			}
		}
		pos += end + 1
	}
	return onset, ok
}

// parseTAL splits one list into its onset, duration and texts.
func parseTAL(tal []byte) (onset, duration float64, texts [][]byte, ok bool) {
	head, rest, found := bytes.Cut(tal, []byte{talText})
	if !found || len(head) < 2 || head[0] != '+' && head[0] != '-' {
		return 0, 0, nil, false
	}
	on, dur, timed := bytes.Cut(head, []byte{talDuration})
	if onset, ok = decimal(string(on)); !ok {
		return 0, 0, nil, false
	}
	if timed && len(dur) > 0 {
		if duration, ok = decimal(string(dur)); !ok || duration < 0 {
			return 0, 0, nil, false
		}
	}
	texts = bytes.Split(rest, []byte{talText})
	if n := len(texts); len(texts[n-1]) == 0 { // what follows the closing separator
		texts = texts[:n-1]
	}
	return onset, duration, texts, true
}
