package recordings

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// An EEGLAB dataset (.set) is a MATLAB file with a struct EEG, or, as newer versions
// write, with its fields as variables:
//
//	nbchan pnts trials srate │ chanlocs(i).labels .type .X .Y .Z │ event(i).type .latency .duration
//	data: channels × points × trials, or the name of a file of float32 beside it:
//	      .fdt column by column, .dat channel by channel

// matHead reports whether a file begins like a MATLAB file of level 5 or newer.
func matHead(head []byte) bool { return bytes.HasPrefix(head, []byte("MATLAB ")) }

// eeglab is a dataset on its way to a recording.
type eeglab struct {
	opened
	vars map[string]*matValue
}

func openEEGLAB(path string, file io.ReaderAt, size int64, c io.Closer) (Recording, error) {
	if size > MaxUnpacked {
		return nil, fmt.Errorf("%s: a MATLAB file of %d bytes does not fit into memory; save the samples in a separate .fdt file", path, size)
	}
	data := make([]byte, size)
	if n, err := file.ReadAt(data, 0); int64(n) < size {
		return nil, fileError(path, err)
	}
	if bytes.HasPrefix(data, []byte("MATLAB 7.3")) {
		return nil, fmt.Errorf("%s: is a MATLAB 7.3 (HDF5) file, which is not read; save it as version 7 (EEGLAB: File, Preferences, untick 7.3) or export EDF", path)
	}
	r := &eeglab{}
	r.path, r.closer = path, c
	vars, err := readMat(data, MaxUnpacked)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	r.vars = vars
	if vars["EEG"] == nil && vars["nbchan"] == nil {
		m, err := openMatArray(path, vars)
		if err != nil {
			return nil, err
		}
		if m != nil {
			c.Close() // everything is in memory
			return m, nil
		}
	}
	if eeg := vars["EEG"]; eeg != nil && eeg.count > 0 {
		r.vars = make(map[string]*matValue)
		for _, name := range eeg.fields {
			r.vars[name] = eeg.field(0, name)
		}
	}
	r.info = Info{Format: "EEGLAB", Path: path}
	r.stream.Name = streamName(path)
	channels, points, trials, err := r.sizes()
	if err != nil {
		return nil, err
	}
	rate, ok := r.vars["srate"].number()
	if !ok || !(rate > 0) || math.IsInf(rate, 0) {
		return nil, fmt.Errorf("%s: srate is %v; expected the rate in Hz", path, rate)
	}
	r.channels(channels)
	if err := r.finish(rate); err != nil {
		return nil, err
	}
	if err := r.samples(channels, points*trials); err != nil {
		return nil, err
	}
	for t := 1; t < trials; t++ {
		r.gaps = append(r.gaps, Gap{Column: int64(t * points)})
	}
	if trials > 1 {
		r.note("Epochs", fmt.Sprintf("%d of %d points, one after the other with gaps of unknown length", trials, points))
	}
	r.events()
	return &r.opened, nil
}

func (r *eeglab) sizes() (channels, points, trials int, err error) {
	get := func(name string, least, most float64) int {
		v, ok := r.vars[name].number()
		if err == nil && (!ok || v != math.Trunc(v) || v < least || v > most) {
			err = fmt.Errorf("%s: %s is %v; expected %v to %v: it is no EEGLAB dataset, or damaged", r.path, name, v, least, most)
		}
		return int(v)
	}
	channels, points = get("nbchan", 1, edfMaxSignal), get("pnts", 1, 1<<31)
	trials = 1
	if r.vars["trials"] != nil {
		trials = get("trials", 1, 1<<20)
	}
	return channels, points, trials, err
}

// channels makes the rows' descriptions. EEGLAB's coordinates (x to the front, y to
// the left) have no fixed unit: their direction is kept, the distance is HeadRadius.
func (r *eeglab) channels(n int) {
	locs := r.vars["chanlocs"]
	for i := range n {
		label, kind := "", ""
		if f := locs.field(i, "labels"); f != nil {
			label = f.text
		}
		if f := locs.field(i, "type"); f != nil {
			kind = f.text
		}
		if label == "" {
			label = "ch " + strconv.Itoa(i+1)
		}
		c := DescribeChannel(label, "uV", kind)
		x, okX := locs.field(i, "X").number()
		y, okY := locs.field(i, "Y").number()
		z, okZ := locs.field(i, "Z").number()
		if d := math.Sqrt(x*x + y*y + z*z); okX && okY && okZ && d > 0 && !math.IsInf(d, 0) {
			s := HeadRadius / d
			c.Position, c.Placed = [3]float64{-y * s, x * s, z * s}, true
		}
		r.stream.Channels = append(r.stream.Channels, c)
	}
}

// samples finds where the samples lie: in the dataset or in a file beside it.
func (r *eeglab) samples(channels, columns int) error {
	v := r.vars["data"]
	if v == nil {
		return fmt.Errorf("%s: has no data; it is no EEGLAB dataset, or damaged", r.path)
	}
	if v.class != mxChar {
		if v.count != channels*columns || v.raw == nil {
			return fmt.Errorf("%s: data hold %d values, not %d channels of %d points", r.path, v.count, channels, columns)
		}
		r.file = bytes.NewReader(v.raw)
		r.lay(v.code, channels, columns, false)
		if r.closer != nil {
			r.closer.Close() // everything is in memory
			r.closer = nopCloser{}
		}
		return nil
	}
	name := v.text[strings.LastIndexAny(v.text, `/\`)+1:] // folders are the writer's
	path := filepath.Join(filepath.Dir(r.path), name)
	f, err := os.Open(path)
	if err != nil {
		// A dataset that was renamed still names the old file.
		if other := swapEnding(r.path, filepath.Ext(name)); other != path {
			if g, err2 := os.Open(other); err2 == nil {
				r.note("Data file", fmt.Sprintf("%s is not there, %s is read", name, filepath.Base(other)))
				f, path, err = g, other, nil
			}
		}
	}
	if err != nil {
		return fmt.Errorf("%s: the samples of %s: %w", path, filepath.Base(r.path), fileError(path, err))
	}
	st, err := f.Stat()
	if err == nil && st.Size() != int64(channels)*int64(columns)*4 {
		err = fmt.Errorf("%s: %d bytes, but %d channels of %d points in float32 are %d: copy the file again", path, st.Size(), channels, columns, int64(channels)*int64(columns)*4)
	}
	vectorized := strings.EqualFold(filepath.Ext(path), ".dat")
	if err == nil && vectorized && st.Size() > maxRecord {
		err = fmt.Errorf("%s: %d bytes channel by channel; the limit is %d: save as .fdt", path, st.Size(), maxRecord)
	}
	if err != nil {
		f.Close()
		return err
	}
	if r.closer != nil {
		r.closer.Close()
	}
	r.file, r.closer = f, f
	r.lay(codeFloat32, channels, columns, vectorized)
	return nil
}

func (r *eeglab) lay(code coding, channels, columns int, vectorized bool) {
	r.count, r.perRecord, r.bytes = int64(columns), 1, channels*code.size()
	if vectorized {
		r.count, r.perRecord, r.bytes = 1, columns, channels*columns*code.size()
	}
	for i := range channels {
		r.rows = append(r.rows, row{at: i * r.perRecord * code.size(), code: code, gain: 1})
	}
}

// events reads EEG.event. Latencies are in points from 1, and may lie between two;
// events of type "boundary" say that data were cut out there.
func (r *eeglab) events() {
	events := r.vars["event"]
	if events == nil {
		return
	}
	type event struct {
		at, duration float64
		label        string
	}
	var list []event
	bad := 0
	for i := range events.count {
		at, ok := events.field(i, "latency").number()
		if !ok || math.IsNaN(at) || math.IsInf(at, 0) {
			bad++
			continue
		}
		e := event{at: at - 1}
		if d, ok := events.field(i, "duration").number(); ok && d > 0 && !math.IsInf(d, 0) {
			e.duration = d / r.stream.Rate
		}
		if f := events.field(i, "type"); f != nil && f.class == mxChar {
			e.label = f.text
		} else if v, ok := f.number(); ok {
			e.label = strconv.FormatFloat(v, 'g', -1, 64)
		}
		list = append(list, e)
	}
	if bad > 0 {
		r.note("Events", fmt.Sprintf("%d have no latency and are left out", bad))
	}
	slices.SortStableFunc(list, func(a, b event) int {
		return byOnset(Annotation{Onset: a.at}, Annotation{Onset: b.at})
	})
	lost := 0.0
	for _, e := range list {
		if col := int64(math.Ceil(e.at)); e.label == "boundary" && col > 0 && col < r.Len() && len(r.gaps) < maxEvents {
			r.cut(Gap{Column: col, Seconds: e.duration})
			lost += e.duration
			continue
		}
		r.annotations = append(r.annotations, Annotation{Onset: e.at/r.stream.Rate + lost, Duration: e.duration, Label: e.label})
	}
}

// cut adds a gap, in order of columns; at a column that has one already, the longer
// counts.
func (r *eeglab) cut(g Gap) {
	i, found := slices.BinarySearchFunc(r.gaps, g, func(a, b Gap) int { return int(a.Column - b.Column) })
	if found {
		r.gaps[i].Seconds = max(r.gaps[i].Seconds, g.Seconds)
		return
	}
	r.gaps = slices.Insert(r.gaps, i, g)
}
