package stream

import (
	"encoding/binary"
	"math"
)

// StateWriter appends numbers to a snapshot. The zero value with Buf set to the
// destination is ready to use.
type StateWriter struct{ Buf []byte }

// Int appends an integer.
func (w *StateWriter) Int(v int64) { w.Buf = binary.LittleEndian.AppendUint64(w.Buf, uint64(v)) }

// Float appends a float64, bit for bit.
func (w *StateWriter) Float(v float64) {
	w.Buf = binary.LittleEndian.AppendUint64(w.Buf, math.Float64bits(v))
}

// Bool appends a truth value.
func (w *StateWriter) Bool(v bool) {
	if v {
		w.Int(1)
	} else {
		w.Int(0)
	}
}

// Floats appends a slice behind its length.
func (w *StateWriter) Floats(v []float64) {
	w.Int(int64(len(v)))
	for _, x := range v {
		w.Float(x)
	}
}

// Tiles appends a slice of tile columns behind its length.
func (w *StateWriter) Tiles(v [][Lanes]float64) {
	w.Int(int64(len(v)))
	for i := range v {
		for _, x := range v[i] {
			w.Float(x)
		}
	}
}

// Bytes appends a byte slice behind its length.
func (w *StateWriter) Bytes(v []byte) {
	w.Int(int64(len(v)))
	w.Buf = append(w.Buf, v...)
}

// StateReader reads a snapshot back. After the first mismatch every read returns
// zero and Err returns ErrState.
type StateReader struct {
	Buf    []byte
	failed bool
}

// Int reads an integer.
func (r *StateReader) Int() int64 {
	if len(r.Buf) < 8 {
		r.failed, r.Buf = true, nil
		return 0
	}
	v := int64(binary.LittleEndian.Uint64(r.Buf))
	r.Buf = r.Buf[8:]
	return v
}

// Float reads a float64.
func (r *StateReader) Float() float64 { return math.Float64frombits(uint64(r.Int())) }

// Bool reads a truth value.
func (r *StateReader) Bool() bool { return r.Int() != 0 }

// Floats fills dst; the saved slice must have the same length.
func (r *StateReader) Floats(dst []float64) {
	if r.Int() != int64(len(dst)) {
		r.failed, r.Buf = true, nil
	}
	for i := range dst {
		dst[i] = r.Float()
	}
}

// Tiles fills dst; the saved slice must have the same length.
func (r *StateReader) Tiles(dst [][Lanes]float64) {
	if r.Int() != int64(len(dst)) {
		r.failed, r.Buf = true, nil
	}
	for i := range dst {
		for l := range dst[i] {
			dst[i][l] = r.Float()
		}
	}
}

// Bytes fills dst; the saved slice must have the same length.
func (r *StateReader) Bytes(dst []byte) {
	if r.Int() != int64(len(dst)) || len(r.Buf) < len(dst) {
		r.failed, r.Buf = true, nil
		return
	}
	copy(dst, r.Buf)
	r.Buf = r.Buf[len(dst):]
}

// Err returns ErrState when something did not fit or bytes are left over.
func (r *StateReader) Err() error {
	if r.failed || len(r.Buf) != 0 {
		return ErrState
	}
	return nil
}
