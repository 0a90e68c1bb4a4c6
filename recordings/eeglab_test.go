package recordings

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A writer of MATLAB elements, enough for a dataset.

func matTag(kind uint32, body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	return append(b, make([]byte, (8-len(b)%8)%8)...)
}

func matMatrix(class byte, name string, dims []int, parts ...[]byte) []byte {
	var d []byte
	for _, n := range dims {
		d = binary.LittleEndian.AppendUint32(d, uint32(n))
	}
	body := matTag(6, []byte{class, 0, 0, 0, 0, 0, 0, 0})
	body = append(body, matTag(5, d)...)
	body = append(body, matTag(1, []byte(name))...)
	return matTag(miMatrix, append(body, bytes.Join(parts, nil)...))
}

func matDouble(name string, rows int, v ...float64) []byte {
	var b []byte
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return matMatrix(mxDouble, name, []int{rows, len(v) / rows}, matTag(9, b))
}

func matChar(name, text string) []byte {
	var b []byte
	for _, r := range text {
		b = binary.LittleEndian.AppendUint16(b, uint16(r))
	}
	return matMatrix(mxChar, name, []int{1, len(text)}, matTag(4, b))
}

func matStructs(name string, n int, fields []string, values ...[]byte) []byte {
	var names []byte
	for _, f := range fields {
		names = append(names, make([]byte, 32)...)
		copy(names[len(names)-32:], f)
	}
	small := []byte{5, 0, 4, 0, 32, 0, 0, 0} // type 5, four bytes: the width of names
	return matMatrix(mxStruct, name, []int{1, n}, append([][]byte{small, matTag(1, names)}, values...)...)
}

func matFile(compressed bool, vars ...[]byte) []byte {
	b := []byte(fmt.Sprintf("%-124s", "MATLAB 5.0 MAT-file") + "\x00\x01IM")
	for _, v := range vars {
		if compressed {
			var z bytes.Buffer
			w := zlib.NewWriter(&z)
			w.Write(v)
			w.Close()
			v = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, miCompressed), uint32(z.Len()))
			v = append(v, z.Bytes()...)
		}
		b = append(b, v...)
	}
	return b
}

// dataset has two channels of six points, an event, and a cut before point 4.
func dataset(name, data string, compressed bool) []byte {
	samples := matDouble("data", 2, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6)
	if data != "" {
		samples = matChar("data", data)
	}
	fields := []string{"nbchan", "pnts", "trials", "srate", "data", "chanlocs", "event"}
	values := [][]byte{
		matDouble("nbchan", 1, 2), matDouble("pnts", 1, 6), matDouble("trials", 1, 1), matDouble("srate", 1, 100), samples,
		matStructs("chanlocs", 2, []string{"labels", "X", "Y", "Z"},
			matChar("", "cz"), matDouble("", 1, 0), matDouble("", 1, 0), matDouble("", 1, 85),
			matChar("", "HEOG"), matDouble("", 1, 85), matDouble("", 1, 0), matDouble("", 1, 0)),
		matStructs("event", 3, []string{"type", "latency", "duration"},
			matDouble("", 1, 7), matDouble("", 1, 5), matDouble("", 1, 2),
			matChar("", "boundary"), matDouble("", 1, 3.5), matDouble("", 1, 50),
			matChar("", "left"), matDouble("", 1, 2), matMatrix(mxDouble, "", []int{0, 0}, matTag(9, nil))),
	}
	if name == "" { // as newer versions write: fields as variables
		return matFile(compressed, values...)
	}
	return matFile(compressed, matStructs(name, 1, fields, values...))
}

func TestEEGLAB(t *testing.T) {
	column := func(vectorized bool) string {
		var b []byte
		for i := range 12 {
			v := float32(i/2 + 1)
			if i%2 == 1 {
				v = -v
			}
			if vectorized {
				v = float32(i%6+1) * float32(1-2*(i/6))
			}
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		return string(b)
	}
	dir := writeFiles(t, map[string]string{
		"struct.set": string(dataset("EEG", "", false)), "packed.set": string(dataset("EEG", "", true)), "vars.set": string(dataset("", "", true)),
		"fdt.set": string(dataset("EEG", `C:\old\name.fdt`, true)), "fdt.fdt": column(false),
		"dat.set": string(dataset("EEG", "dat.dat", true)), "dat.dat": column(true),
	})
	for _, name := range []string{"struct", "packed", "vars", "fdt", "dat"} {
		r := mustOpen(t, filepath.Join(dir, name+".set"))
		h := r.Header()
		if h.Rate != 100 || r.Len() != 6 || h.Channels[0].Label != "Cz" || h.Channels[0].Position != [3]float64{0, 0, HeadRadius} ||
			h.Channels[1].Type != TypeEOG || h.Channels[1].Position != [3]float64{0, HeadRadius, 0} {
			t.Errorf("%s: %+v", name, h)
		}
		c := readAll(t, r)
		for i := range 6 {
			if c.At(0, i) != float64(i+1) || c.At(1, i) != -float64(i+1) {
				t.Errorf("%s: column %d: %v, %v", name, i, c.At(0, i), c.At(1, i))
			}
		}
		if got := fmt.Sprint(r.Annotations(), r.Gaps()); got != "[{0.01 0 left} {0.54 0.02 7}] [{3 0.5 false}]" {
			t.Errorf("%s: annotations and gaps %s", name, got)
		}
		if col := ColumnAt(r, r.Annotations()[1].Onset); col != 4 {
			t.Errorf("%s: event at column %d, want 4", name, col)
		}
	}
	good := dataset("EEG", "", false)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"7.3":       {[]byte("MATLAB 7.3 MAT-file, Platform" + strings.Repeat(" ", 200)), "is a MATLAB 7.3 (HDF5) file, which is not read"},
		"header":    {good[:100], "cut off at byte 100, inside the header of 128 bytes"},
		"cut":       {good[:len(good)-16], "byte 128: an element ends past the end of the file: it is cut off"},
		"other":     {matFile(false, matDouble("x", 1, 1)), "nbchan is 0; expected 1 to 9999: it is no EEGLAB dataset, or damaged"},
		"big end":   {append(append([]byte(nil), good[:126]...), "MI      "...), "not written by a little-endian machine"},
		"no file":   {dataset("EEG", "/gone/away.fdt", true), "away.fdt: the samples of x.set"},
		"too small": {dataset("EEG", filepath.Join(dir, "x.set"), true), "channels of 6 points in float32 are 48"},
	} {
		path := filepath.Join(dir, "x.set")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error\n%v\nwant\n%s", name, err, c.want)
		}
	}
}

// Epochs come one after the other.
func TestEEGLABEpochs(t *testing.T) {
	dir := "../../shared/data/formats"
	data, err := os.ReadFile(filepath.Join(dir, "reference.json"))
	if err != nil {
		t.Skip("the larger conformance files are not beside the repository")
	}
	var all map[string]struct {
		First []float64 `json:"first4_ch0_epoch0"`
		Shape []int
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatal(err)
	}
	const name = "eeglab/test_epochs_onefile.set"
	if err := json.Unmarshal([]byte(`{"`+name+`":`+string(raw[name])+`}`), &all); err != nil {
		t.Fatal(err)
	}
	r := mustOpen(t, filepath.Join(dir, name))
	c := readAll(t, r)
	for i, v := range all[name].First {
		if math.Abs(c.At(0, i)*1e-6-v) > 1e-13 {
			t.Errorf("column %d: %v, want %v", i, c.At(0, i)*1e-6, v)
		}
	}
	if g := r.Gaps(); len(g) != all[name].Shape[0]-1 || g[0].Column != int64(all[name].Shape[2]) {
		t.Errorf("gaps %v", g)
	}
}

func FuzzEEGLAB(f *testing.F) {
	f.Add(dataset("EEG", "", false))
	f.Add(dataset("", "", true))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := openEEGLAB("fuzz", bytes.NewReader(data), int64(len(data)), nopCloser{})
		if err != nil {
			return
		}
		probe(t, r)
	})
}

func FuzzBrainVision(f *testing.F) {
	f.Add([]byte(vhdr), []byte(vmrk), []byte("\x02\x00\x01\x00\x04\x00\x02\x00"))
	f.Fuzz(func(t *testing.T, header, markers, samples []byte) {
		dir := writeFiles(t, map[string]string{"rec.vhdr": string(header), "rec.vmrk": string(markers), "rec.eeg": string(samples)})
		r, err := openBrainVision(filepath.Join(dir, "rec.vhdr"))
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			return
		}
		defer r.Close()
		probe(t, r)
	})
}
