package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// npy writes an array as NumPy does.
func npy(descr, order, shape string, values any) []byte {
	h := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, order, shape)
	h += strings.Repeat(" ", 63-(10+len(h))%64) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(h)), byte(len(h)>>8))
	b = append(b, h...)
	var w bytes.Buffer
	_ = binary.Write(&w, binary.LittleEndian, values)
	return append(b, w.Bytes()...)
}

func archive(members map[string][]byte) []byte {
	var w bytes.Buffer
	z := zip.NewWriter(&w)
	for name, b := range members {
		f, _ := z.Create(name)
		_, _ = f.Write(b)
	}
	z.Close()
	return w.Bytes()
}

func TestTypesAndOrder(t *testing.T) {
	for name, c := range map[string]struct {
		b     []byte
		shape []int
		want  []float64
	}{
		"float64": {npy("<f8", "False", "(2, 3)", []float64{1, 2, 3, 4, 5, 6.5}), []int{2, 3}, []float64{1, 2, 3, 4, 5, 6.5}},
		"float32": {npy("<f4", "False", "(2,)", []float32{0.5, -2}), []int{2}, []float64{0.5, -2}},
		"int16":   {npy("<i2", "False", "(3,)", []int16{-1, 7, 9}), []int{3}, []float64{-1, 7, 9}},
		"int64":   {npy("<i8", "False", "()", []int64{-5}), nil, []float64{-5}},
		"bool":    {npy("|b1", "False", "(2,)", []bool{true, false}), []int{2}, []float64{1, 0}},
		"columns": {npy("<f8", "True", "(2, 3)", []float64{1, 4, 2, 5, 3, 6}), []int{2, 3}, []float64{1, 2, 3, 4, 5, 6}},
		"empty":   {npy("<f8", "False", "(0, 3)", []float64{}), []int{0, 3}, []float64{}},
	} {
		m, err := Parse(archive(map[string][]byte{"x.npy": c.b}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a := m["x"]; !slices.Equal(a.Shape, c.shape) || !slices.Equal(a.Data, c.want) {
			t.Errorf("%s: %+v", name, a)
		}
		if m, err := Parse(c.b); err != nil || len(m[""].Data) != len(c.want) {
			t.Errorf("%s alone: %v", name, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	good := npy("<f8", "False", "(2,)", []float64{1, 2})
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"no archive": {[]byte("hello"), "not an .npz"},
		"pickle":     {npy("|O", "False", "(2,)", []byte{1}), "type"},
		"complex":    {npy("<c16", "False", "(1,)", []float64{1, 2}), "type"},
		"short":      {good[:len(good)-1], "end after"},
		"long":       {append(slices.Clone(good), 0), "behind"},
		"huge":       {npy("<f8", "False", "(99999999999, 99999999999)", []float64{}), "more than"},
		"big":        {npy("<f8", "False", "(60000000,)", []float64{1}), "end after"},
		"negative":   {npy("<f8", "False", "(-1,)", []float64{}), "length"},
		"version":    {append([]byte("\x93NUMPY\x09\x00"), 0, 0), "version"},
		"header":     {append([]byte("\x93NUMPY\x02\x00"), 255, 255, 255, 255), "header of"},
		"member":     {archive(map[string][]byte{"x.txt": good}), "no .npy"},
	} {
		if _, err := Parse(c.b); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	a := npy("<f4", "True", "(2, 2)", []float32{1, 2, 3, 4})
	f.Add(a)
	f.Add(archive(map[string][]byte{"w.npy": a, "b.npy": npy("<i8", "False", "()", []int64{3})}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Parse(b)
		if err != nil {
			return
		}
		for name, a := range m {
			n := 1
			for _, k := range a.Shape {
				n *= k
			}
			if n != len(a.Data) {
				t.Fatalf("array %q: %d values of shape %v", name, len(a.Data), a.Shape)
			}
		}
	})
}
