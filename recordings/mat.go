package recordings

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// MATLAB files of level 5 (versions 6 and 7; "MAT-File Format", MathWorks) are
// elements: type uint32 │ bytes uint32 │ data, padded to eight; or, when the data
// are four bytes or less, type uint16 │ bytes uint16 │ data. An element may be
// compressed (zlib), and a matrix is an element of elements: flags, dimensions,
// name, then values, cells or fields.
const (
	matDepth  = 32
	matValues = 1 << 22 // cells and fields in a file
)

// Types of elements.
const (
	miMatrix     = 14
	miCompressed = 15
	miUTF8       = 16
	miUTF16      = 17
)

// Classes of matrices.
const (
	mxCell   = 1
	mxStruct = 2
	mxObject = 3
	mxChar   = 4
	mxDouble = 6
	mxUint64 = 15
)

var matCodes = map[uint32]coding{
	1: codeInt8, 2: codeUint8, 3: codeInt16, 4: codeUint16, 5: codeInt32, 6: codeUint32,
	7: codeFloat32, 9: codeFloat64, 12: codeInt64, 13: codeUint64,
}

// matValue is one array of a MATLAB file. Numbers stay as they are stored.
type matValue struct {
	class  uint8
	name   string
	dims   []int
	count  int // product of dims
	code   coding
	raw    []byte      // numbers, count of them in code
	text   string      // of a char array
	cells  []*matValue // of a cell array; of a struct array, element by element, all fields
	fields []string
}

// matReader bounds what reading a file may cost.
type matReader struct {
	left   int64 // bytes that may still be unpacked
	values int
}

var errMat = errors.New("the MATLAB data are damaged")

// readMat returns the variables of a file.
func readMat(data []byte, limit int64) (map[string]*matValue, error) {
	if len(data) < 128 {
		return nil, fmt.Errorf("cut off at byte %d, inside the header of 128 bytes", len(data))
	}
	if data[126] != 'I' || data[127] != 'M' {
		return nil, errors.New("byte 126: not written by a little-endian machine; save it again on a current one")
	}
	r := &matReader{left: limit}
	vars := make(map[string]*matValue)
	at := 128
	for at+8 <= len(data) {
		kind, body, size, ok := matElement(data[at:])
		if !ok {
			return vars, fmt.Errorf("byte %d: an element ends past the end of the file: it is cut off", at)
		}
		v, err := r.top(kind, body)
		if err != nil {
			return vars, fmt.Errorf("byte %d: %w", at, err)
		}
		if v != nil {
			vars[v.name] = v
		}
		at += size
	}
	return vars, nil
}

// matElement splits off the first element: its type, data, and the bytes it takes.
func matElement(b []byte) (kind uint32, body []byte, size int, ok bool) {
	if len(b) < 8 {
		return 0, nil, 0, false
	}
	le := binary.LittleEndian
	kind = le.Uint32(b)
	if n := kind >> 16; n != 0 { // small form
		return kind & 0xffff, b[4 : 4+min(n, 4)], 8, n <= 4
	}
	n := int64(le.Uint32(b[4:]))
	if n > int64(len(b)-8) {
		return 0, nil, 0, false
	}
	size = 8 + int(n)
	if kind != miCompressed {
		size = min((size+7)/8*8, len(b))
	}
	return kind, b[8 : 8+n], size, true
}

// top reads an element of the file itself; nil when it is no matrix.
func (r *matReader) top(kind uint32, body []byte) (*matValue, error) {
	switch kind {
	case miMatrix:
		return r.matrix(body, 0)
	case miCompressed:
		z, err := zlib.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("does not unpack: %w", err)
		}
		var out bytes.Buffer
		n, err := out.ReadFrom(io.LimitReader(z, r.left+1))
		if n > r.left {
			return nil, errors.New("unpacks to more than is allowed")
		}
		if err != nil {
			return nil, fmt.Errorf("does not unpack: %w", err)
		}
		r.left -= n
		kind, body, _, ok := matElement(out.Bytes())
		if !ok || kind != miMatrix {
			return nil, errMat
		}
		return r.matrix(body, 0)
	}
	return nil, nil
}

// matrix reads the elements of a matrix.
func (r *matReader) matrix(b []byte, depth int) (*matValue, error) {
	if r.values++; depth > matDepth || r.values > matValues {
		return nil, errors.New("MATLAB data of too many or too deep values")
	}
	v := &matValue{}
	if len(b) == 0 { // the empty value
		return v, nil
	}
	next := func() (kind uint32, body []byte, err error) {
		kind, body, size, ok := matElement(b)
		if !ok {
			return 0, nil, errMat
		}
		b = b[size:]
		return kind, body, nil
	}
	_, flags, err := next()
	if err != nil || len(flags) < 4 {
		return nil, errMat
	}
	v.class = flags[0]
	_, dims, err := next()
	if err != nil || len(dims) < 8 || len(dims) > 4*32 {
		return nil, errMat
	}
	v.count = 1
	for i := 0; i+4 <= len(dims); i += 4 {
		d := int(int32(binary.LittleEndian.Uint32(dims[i:])))
		if d < 0 || d > 0 && v.count > (1<<40)/d {
			return nil, errMat
		}
		v.dims = append(v.dims, d)
		v.count *= d
	}
	_, name, err := next()
	if err != nil {
		return nil, err
	}
	v.name = string(name)
	switch {
	case v.class == mxCell:
		err = r.children(v, v.count, next, depth)
	case v.class == mxStruct || v.class == mxObject:
		err = r.structure(v, next, depth)
	case v.class == mxChar:
		kind, body, err := next()
		if err != nil {
			return nil, err
		}
		v.text = matText(kind, body)
	case v.class >= mxDouble && v.class <= mxUint64:
		kind, body, err := next()
		if err != nil {
			return nil, err
		}
		code, ok := matCodes[kind]
		if !ok || len(body) != v.count*code.size() {
			return nil, errMat
		}
		v.code, v.raw = code, body
	}
	return v, err
}

func (r *matReader) structure(v *matValue, next func() (uint32, []byte, error), depth int) error {
	if v.class == mxObject { // the name of its class comes first
		if _, _, err := next(); err != nil {
			return err
		}
	}
	_, width, err := next()
	if err != nil || len(width) != 4 {
		return errMat
	}
	w := int(binary.LittleEndian.Uint32(width))
	_, names, err := next()
	if err != nil || w < 1 || w > 1<<16 {
		return errMat
	}
	for ; len(names) >= w; names = names[w:] {
		name, _, _ := bytes.Cut(names[:w], []byte{0})
		v.fields = append(v.fields, string(name))
	}
	if len(v.fields) > 0 && v.count > matValues/len(v.fields) {
		return errMat
	}
	return r.children(v, v.count*len(v.fields), next, depth)
}

func (r *matReader) children(v *matValue, n int, next func() (uint32, []byte, error), depth int) error {
	for range n {
		kind, body, err := next()
		if err != nil {
			return err
		}
		if kind != miMatrix {
			return errMat
		}
		c, err := r.matrix(body, depth+1)
		if err != nil {
			return err
		}
		v.cells = append(v.cells, c)
	}
	return nil
}

// matText decodes a char array of one row.
func matText(kind uint32, b []byte) string {
	switch kind {
	case 4, miUTF16: // uint16 code units
		u := make([]uint16, len(b)/2)
		for i := range u {
			u[i] = binary.LittleEndian.Uint16(b[2*i:])
		}
		return string(utf16.Decode(u))
	}
	return validText(string(b))
}

// field returns a field of element i of a struct array; nil when there is none.
func (v *matValue) field(i int, name string) *matValue {
	if v == nil || i < 0 || i >= v.count {
		return nil
	}
	for k, f := range v.fields {
		if f == name {
			return v.cells[i*len(v.fields)+k]
		}
	}
	return nil
}

// number returns the first number of a numeric array.
func (v *matValue) number() (float64, bool) {
	if v == nil || v.count < 1 || v.raw == nil {
		return 0, false
	}
	return v.code.value(v.raw), true
}
