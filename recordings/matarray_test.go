package recordings

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"neurostream/stream"
)

// matlab5 writes double matrices as a MATLAB file of level 5.
func matlab5(vars map[string][][]float64, order ...string) []byte {
	b := make([]byte, 128)
	copy(b, "MATLAB 5.0 MAT-file")
	b[124], b[125], b[126], b[127] = 0, 1, 'I', 'M'
	element := func(kind uint32, body []byte) []byte {
		e := binary.LittleEndian.AppendUint32(nil, kind)
		e = binary.LittleEndian.AppendUint32(e, uint32(len(body)))
		e = append(e, body...)
		for len(e)%8 != 0 {
			e = append(e, 0)
		}
		return e
	}
	for _, name := range order {
		m := vars[name]
		flags := binary.LittleEndian.AppendUint32(nil, mxDouble)
		flags = binary.LittleEndian.AppendUint32(flags, 0)
		dims := binary.LittleEndian.AppendUint32(nil, uint32(len(m)))
		dims = binary.LittleEndian.AppendUint32(dims, uint32(len(m[0])))
		var raw []byte
		for c := range m[0] {
			for r := range m {
				raw = binary.LittleEndian.AppendUint64(raw, math.Float64bits(m[r][c]))
			}
		}
		body := element(6, flags)
		body = append(body, element(5, dims)...)
		body = append(body, element(1, []byte(name))...)
		body = append(body, element(9, raw)...)
		b = append(b, element(miMatrix, body)...)
	}
	return b
}

func TestMatArray(t *testing.T) {
	y := make([][]float64, 50)
	trig := make([][]float64, 50)
	for i := range y {
		y[i], trig[i] = []float64{float64(i), -float64(i)}, []float64{0}
	}
	trig[10][0], trig[11][0], trig[30][0] = 1, 1, -1
	good := map[string][][]float64{"y": y, "trig": trig, "fs": {{250}}}
	r, err := OpenBytes("p300.mat", matlab5(good, "y", "trig", "fs"))
	if err != nil {
		t.Fatal(err)
	}
	h := r.Header()
	if h.Rate != 250 || h.Rows() != 2 || r.Len() != 50 {
		t.Errorf("%d channels, %v Hz, %d columns", h.Rows(), h.Rate, r.Len())
	}
	c := stream.NewChunk(&h)
	if err := r.ReadAt(c, 20); err != nil || c.Len != 30 || c.At(1, 3) != -23 {
		t.Errorf("columns from 20: %v, %d of them, %v", err, c.Len, c.At(1, 3))
	}
	if n := r.Annotations(); len(n) != 2 || n[0] != (Annotation{Onset: 0.04, Label: "1"}) || n[1] != (Annotation{Onset: 0.12, Label: "-1"}) {
		t.Errorf("annotations %v", n)
	}
	events := map[string][][]float64{"x": y, "t": {{3, 7.4, 99}}, "y_dec": {{1, 2, 1}}, "fs": {{100}}}
	if r, err = OpenBytes("bmi.mat", matlab5(events, "x", "t", "y_dec", "fs")); err != nil {
		t.Fatal(err)
	}
	if n := r.Annotations(); len(n) != 2 || n[1] != (Annotation{Onset: 0.06, Label: "2"}) {
		t.Errorf("annotations %v", n)
	}
	short := map[string][][]float64{"y": y, "trig": trig[:9], "fs": {{250}}}
	for what, b := range map[string][]byte{
		"trig":  matlab5(short, "y", "trig", "fs"),
		"rate":  matlab5(map[string][][]float64{"y": y, "fs": {{-1}}}, "y", "fs"),
		"no fs": matlab5(map[string][][]float64{"y": y}, "y"),
	} {
		if _, err := OpenBytes("x.mat", b); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// A column of triggers with 0 for nothing, as muselsl writes, also gzipped.
func TestCSVTriggers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.csv")
	if err := os.WriteFile(path, []byte("timestamps,TP9,Marker\n0.000,1,0\n0.004,2,2\n0.008,3,0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := OpenCSV(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Annotations(); len(n) != 1 || n[0].Label != "2" || math.Abs(n[0].Onset-0.004) > 1e-12 || r.Header().Rate != 250 {
		t.Errorf("annotations %v at %v Hz", n, r.Header().Rate)
	}
}
