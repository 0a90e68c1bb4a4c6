// Package npz reads arrays of NumPy: .npz archives and .npy files, of numbers.
//
//	archive (zip) ─► member.npy ─► magic "\x93NUMPY", version, header length,
//	                               {'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }, data
//
// Format: NumPy Enhancement Proposal 1 and numpy.lib.format, versions 1.0 to 3.0. Every
// byte is hostile until parsed: sizes are bounded, nothing is allocated on a header's word
// alone, objects (pickles) are refused.
package npz

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
)

// MaxValues bounds the values of one array, and MaxArrays the arrays of an archive.
const (
	MaxValues = 1 << 26
	MaxArrays = 1024
	maxHeader = 1 << 16
)

// Array is an array of numbers in row-major order.
type Array struct {
	Shape []int // empty for a single number
	Data  []float64
}

// Open reads an .npz archive, or an .npy file as an archive with one array called "".
func Open(path string) (map[string]Array, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	arrays, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return arrays, nil
}

// Parse reads the bytes of an archive or of a single array.
func Parse(b []byte) (map[string]Array, error) {
	if bytes.HasPrefix(b, []byte(magic)) {
		a, err := ParseArray(bytes.NewReader(b))
		if err != nil {
			return nil, err
		}
		return map[string]Array{"": a}, nil
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, fmt.Errorf("not an .npz archive: %w", err)
	}
	if len(z.File) > MaxArrays {
		return nil, fmt.Errorf("%d arrays in the archive; at most %d are read", len(z.File), MaxArrays)
	}
	out, total := map[string]Array{}, 0
	for _, f := range z.File {
		name, ok := strings.CutSuffix(f.Name, ".npy")
		if !ok {
			return nil, fmt.Errorf("member %q is no .npy array", f.Name)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("two arrays are called %q", name)
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("array %q: %w", name, err)
		}
		a, err := ParseArray(r)
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("array %q: %w", name, err)
		}
		if total += len(a.Data); total > MaxValues {
			return nil, fmt.Errorf("more than %d values in the archive", MaxValues)
		}
		out[name] = a
	}
	return out, nil
}

const magic = "\x93NUMPY"

// ParseArray reads one .npy array.
func ParseArray(r io.Reader) (Array, error) {
	var a Array
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		return a, fmt.Errorf("byte 0: %w", err)
	}
	if string(head[:6]) != magic {
		return a, fmt.Errorf("byte 0: no NumPy array")
	}
	size := 0
	switch head[6] {
	case 1:
		var n uint16
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return a, fmt.Errorf("byte 8: %w", err)
		}
		size = int(n)
	case 2, 3:
		var n uint32
		if err := binary.Read(r, binary.LittleEndian, &n); err != nil {
			return a, fmt.Errorf("byte 8: %w", err)
		}
		size = int(min(n, maxHeader+1))
	default:
		return a, fmt.Errorf("byte 6: version %d of the format; known are 1 to 3", head[6])
	}
	if size > maxHeader {
		return a, fmt.Errorf("byte 8: a header of %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return a, fmt.Errorf("header: %w", err)
	}
	descr, fortran, shape, err := parseHeader(string(text))
	if err != nil {
		return a, fmt.Errorf("header %q: %w", strings.TrimSpace(string(text)), err)
	}
	count := 1
	for _, n := range shape {
		if n > MaxValues || n > 0 && count > MaxValues/n {
			return a, fmt.Errorf("shape %v has more than %d values", shape, MaxValues)
		}
		count *= n
	}
	convert, width := converter(descr)
	if convert == nil {
		return a, fmt.Errorf("values of type %q; read are f4, f8, i1, i2, i4, i8, u1, u2, u4, b1", descr)
	}
	data := make([]float64, 0, min(count, 1<<16))
	buf := make([]byte, 4096*width)
	for len(data) < count {
		part := buf[:width*min(4096, count-len(data))]
		if _, err := io.ReadFull(r, part); err != nil {
			return a, fmt.Errorf("%d values are announced, the data end after %d", count, len(data))
		}
		for i := 0; i < len(part); i += width {
			data = append(data, convert(part[i:]))
		}
	}
	if n, _ := io.ReadFull(r, buf[:1]); n != 0 {
		return a, fmt.Errorf("bytes behind the %d values announced", count)
	}
	if fortran && len(shape) > 1 {
		data = rowMajor(data, shape)
	}
	return Array{Shape: shape, Data: data}, nil
}

// rowMajor reorders data whose first index runs fastest.
func rowMajor(data []float64, shape []int) []float64 {
	out, index := make([]float64, len(data)), make([]int, len(shape))
	for i := range out {
		at, step := 0, 1
		for d, n := range shape {
			at += index[d] * step
			step *= n
		}
		out[i] = data[at]
		for d := len(shape) - 1; d >= 0; d-- {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return out
}

// parseHeader reads the literal dictionary of a header.
func parseHeader(s string) (descr string, fortran bool, shape []int, err error) {
	value := func(key string) (string, bool) {
		for _, q := range []string{"'", `"`} {
			if _, rest, ok := strings.Cut(s, q+key+q); ok {
				rest = strings.TrimSpace(rest)
				if r, ok := strings.CutPrefix(rest, ":"); ok {
					return strings.TrimSpace(r), true
				}
			}
		}
		return "", false
	}
	d, ok := value("descr")
	if !ok || len(d) < 2 || d[0] != '\'' && d[0] != '"' {
		return "", false, nil, fmt.Errorf("no type of the values (structured arrays are not read)")
	}
	end := strings.IndexByte(d[1:], d[0])
	if end < 0 {
		return "", false, nil, fmt.Errorf("the type of the values does not end")
	}
	descr = d[1 : 1+end]
	f, ok := value("fortran_order")
	if !ok || !strings.HasPrefix(f, "True") && !strings.HasPrefix(f, "False") {
		return "", false, nil, fmt.Errorf("no order of the values")
	}
	fortran = strings.HasPrefix(f, "True")
	t, ok := value("shape")
	if !ok || !strings.HasPrefix(t, "(") || !strings.Contains(t, ")") {
		return "", false, nil, fmt.Errorf("no shape")
	}
	for _, part := range strings.Split(t[1:strings.IndexByte(t, ')')], ",") {
		if part = strings.TrimSuffix(strings.TrimSpace(part), "L"); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return "", false, nil, fmt.Errorf("shape has a length of %q", part)
		}
		if shape = append(shape, n); len(shape) > 32 {
			return "", false, nil, fmt.Errorf("more than 32 dimensions")
		}
	}
	return descr, fortran, shape, nil
}

// converter returns how to read one value and how many bytes it takes.
func converter(descr string) (func([]byte) float64, int) {
	if len(descr) < 3 {
		return nil, 0
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch descr[0] {
	case '<', '|', '=':
	case '>':
		order = binary.BigEndian
	default:
		return nil, 0
	}
	switch descr[1:] {
	case "f8":
		return func(b []byte) float64 { return math.Float64frombits(order.Uint64(b)) }, 8
	case "f4":
		return func(b []byte) float64 { return float64(math.Float32frombits(order.Uint32(b))) }, 4
	case "i8":
		return func(b []byte) float64 { return float64(int64(order.Uint64(b))) }, 8
	case "i4":
		return func(b []byte) float64 { return float64(int32(order.Uint32(b))) }, 4
	case "i2":
		return func(b []byte) float64 { return float64(int16(order.Uint16(b))) }, 2
	case "i1":
		return func(b []byte) float64 { return float64(int8(b[0])) }, 1
	case "u4":
		return func(b []byte) float64 { return float64(order.Uint32(b)) }, 4
	case "u2":
		return func(b []byte) float64 { return float64(order.Uint16(b)) }, 2
	case "u1", "b1":
		return func(b []byte) float64 { return float64(b[0]) }, 1
	}
	return nil, 0
}
