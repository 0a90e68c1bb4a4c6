// Package hdf5 reads small HDF5 files as h5py writes them by default:
// groups, numbers and strings, whole into memory.
//
//	superblock 0 ─► group: symbol table (B-tree of names) ─► object header ─► messages
//	                dataset: dataspace, datatype, layout (compact, contiguous, chunks in a B-tree), filters
//
// Read are superblock version 0, object headers version 1, integers and IEEE floats of up
// to eight bytes in either order, strings of fixed and variable length, the filters deflate,
// shuffle and fletcher32 (not verified). What else HDF5 can say (libver="latest", references, compound
// types, external storage) is refused by name. Attributes are skipped.
//
// Format: HDF5 File Format Specification Version 3.0 (The HDF Group). Every byte is hostile
// until parsed: every address is checked, trees may not go in circles, what is unpacked is
// bounded by [MaxBytes] together, and errors name the byte.
package hdf5

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
)

// Bounds of what a file can make us read.
const (
	MaxBytes  = 64 << 20 // of all datasets together, unpacked to float64
	maxNodes  = 1 << 16  // of trees, headers and groups together
	maxDepth  = 24
	maxRank   = 8
	undefined = ^uint64(0)
)

// Magic begins every file.
const Magic = "\x89HDF\r\n\x1a\n"

// Dataset is an array in row-major order; exactly one of Numbers and Strings is set.
type Dataset struct {
	Shape   []int // empty for a single value
	Numbers []float64
	Strings []string
}

// Parse reads every dataset of a file, by path: "node/nodes/lif/tau".
func Parse(b []byte) (map[string]*Dataset, error) {
	if !bytes.HasPrefix(b, []byte(Magic)) {
		return nil, fmt.Errorf("not an HDF5 file: it does not begin with the signature")
	}
	f := &file{b: b, left: MaxBytes, out: map[string]*Dataset{}}
	s, err := f.at(0, 96)
	if err != nil {
		return nil, err
	}
	if s[8] != 0 {
		return nil, fmt.Errorf("byte 8: superblock version %d; only version 0 is read: write the file without libver=\"latest\"", s[8])
	}
	if s[13] != 8 || s[14] != 8 {
		return nil, fmt.Errorf("byte 13: offsets of %d and lengths of %d bytes; only 8 are read", s[13], s[14])
	}
	if base := u64(s[24:]); base != 0 {
		return nil, fmt.Errorf("byte 24: base address %d; only 0 is read", base)
	}
	if err := f.object("", u64(s[64:]), 0); err != nil {
		return nil, err
	}
	return f.out, nil
}

// file is a file being read.
type file struct {
	b     []byte
	nodes int
	left  int // bytes that may still be unpacked
	out   map[string]*Dataset

	inflate io.ReadCloser // used again and again; nil = not yet made
}

func u16(b []byte) int    { return int(binary.LittleEndian.Uint16(b)) }
func u32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
func u64(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// at returns n bytes at an address.
func (f *file) at(addr, n uint64) ([]byte, error) {
	if addr > uint64(len(f.b)) || n > uint64(len(f.b))-addr {
		return nil, fmt.Errorf("byte %d: %d bytes are needed there, the file has %d", addr, n, len(f.b))
	}
	return f.b[addr : addr+n], nil
}

// node counts a structure, so that loops end.
func (f *file) node(addr uint64, depth int) error {
	if f.nodes++; f.nodes > maxNodes || depth > maxDepth {
		return fmt.Errorf("byte %d: more than %d structures, or %d levels: damaged, or too large", addr, maxNodes, maxDepth)
	}
	return nil
}

// signed returns n bytes that begin with a signature.
func (f *file) signed(addr, n uint64, want string) ([]byte, error) {
	p, err := f.at(addr, n)
	if err == nil && string(p[:4]) != want {
		err = fmt.Errorf("byte %d: %q, expected %q", addr, p[:4], want)
	}
	return p, err
}

type message struct {
	kind int
	addr uint64 // in the file
	data []byte
}

// header reads the messages of an object header and its continuations.
func (f *file) header(addr uint64, depth int) ([]message, error) {
	if err := f.node(addr, depth); err != nil {
		return nil, err
	}
	p, err := f.at(addr, 16)
	if err != nil {
		return nil, err
	}
	if p[0] != 1 {
		return nil, fmt.Errorf("byte %d: object header version %d; only version 1 is read: write the file without libver=\"latest\"", addr, p[0])
	}
	type block struct{ addr, size uint64 }
	blocks := []block{{addr + 16, uint64(u32(p[8:]))}}
	var out []message
	for len(blocks) > 0 {
		at, size := blocks[0].addr, blocks[0].size
		blocks = blocks[1:]
		data, err := f.at(at, size)
		if err != nil {
			return nil, err
		}
		for len(data) >= 8 {
			m := message{kind: u16(data), addr: at + 8}
			n, flags := u16(data[2:]), data[4]
			if n > len(data)-8 {
				return nil, fmt.Errorf("byte %d: a message of %d bytes in %d", at, n, len(data)-8)
			}
			m.data = data[8 : 8+n]
			data, at = data[8+n:], at+8+uint64(n)
			if flags&2 != 0 && (m.kind == 1 || m.kind == 3 || m.kind == 11) {
				return nil, fmt.Errorf("byte %d: a shared message; named types are not read", m.addr)
			}
			if m.kind == 0x10 {
				if len(m.data) < 16 {
					return nil, fmt.Errorf("byte %d: a continuation of %d bytes", m.addr, n)
				}
				blocks = append(blocks, block{u64(m.data), u64(m.data[8:])})
			}
			out = append(out, m)
			if err := f.node(at, depth); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// object reads a group or a dataset.
func (f *file) object(path string, addr uint64, depth int) error {
	ms, err := f.header(addr, depth)
	if err != nil {
		return err
	}
	for _, m := range ms {
		if m.kind != 0x11 {
			continue
		}
		if len(m.data) < 16 {
			return fmt.Errorf("byte %d: a symbol table message of %d bytes", m.addr, len(m.data))
		}
		heap, err := f.signed(u64(m.data[8:]), 32, "HEAP")
		if err != nil {
			return err
		}
		names, err := f.at(u64(heap[24:]), u64(heap[8:]))
		if err != nil {
			return err
		}
		return f.group(path, u64(m.data), names, depth+1)
	}
	d, err := f.dataset(ms, addr, depth)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	f.out[path] = d
	return nil
}

// group walks the tree of a group's names.
func (f *file) group(path string, addr uint64, names []byte, depth int) error {
	if err := f.node(addr, depth); err != nil {
		return err
	}
	head, err := f.at(addr, 8)
	if err != nil {
		return err
	}
	if string(head[:4]) == "SNOD" {
		n := u16(head[6:])
		p, err := f.at(addr+8, uint64(n)*40)
		if err != nil {
			return err
		}
		for i := range n {
			e := p[i*40:]
			at := u64(e)
			if at >= uint64(len(names)) {
				return fmt.Errorf("byte %d: the name of entry %d lies outside of its heap", addr, i+1)
			}
			name := names[at:]
			end := bytes.IndexByte(name, 0)
			if end < 0 {
				return fmt.Errorf("byte %d: the name of entry %d does not end", addr, i+1)
			}
			full := string(name[:end])
			if path != "" {
				full = path + "/" + full
			}
			if u32(e[16:]) == 2 {
				return fmt.Errorf("%s: a symbolic link, which is not followed", full)
			}
			if len(full) > 1<<12 {
				return fmt.Errorf("byte %d: a path of %d letters", addr, len(full))
			}
			if err := f.object(full, u64(e[8:]), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	p, err := f.signed(addr, 24, "TREE")
	if err != nil {
		return err
	}
	if p[4] != 0 {
		return fmt.Errorf("byte %d: a tree of kind %d where names are expected", addr, p[4])
	}
	n := u16(p[6:])
	keys, err := f.at(addr+24, uint64(n)*16+8)
	if err != nil {
		return err
	}
	for i := range n {
		if err := f.group(path, u64(keys[i*16+8:]), names, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// datatype is how one value is stored.
type datatype struct {
	class  byte // 0 integer, 1 float, 3 string, 9 string of variable length
	size   int
	big    bool
	signed bool
}

func parseType(m message) (datatype, error) {
	if len(m.data) < 8 {
		return datatype{}, fmt.Errorf("byte %d: a datatype of %d bytes", m.addr, len(m.data))
	}
	t := datatype{class: m.data[0] & 15, size: int(u32(m.data[4:])), big: m.data[1]&1 != 0, signed: m.data[1]&8 != 0}
	ok := false
	switch t.class {
	case 0:
		ok = t.size == 1 || t.size == 2 || t.size == 4 || t.size == 8
		if ok && len(m.data) >= 12 && (u16(m.data[8:]) != 0 || u16(m.data[10:]) != 8*t.size) {
			ok = false
		}
	case 1:
		ok = (t.size == 4 || t.size == 8) && m.data[1]&0x40 == 0
	case 3:
		ok = t.size > 0 && t.size <= 1<<16
	case 9:
		ok = t.size == 16 && m.data[1]&15 == 1
	}
	if !ok {
		return t, fmt.Errorf("byte %d: values of class %d with %d bytes; read are integers of 1 to 8 bytes, floats of 4 and 8, strings", m.addr, t.class, t.size)
	}
	return t, nil
}

func parseSpace(m message) ([]int, error) {
	d := m.data
	if len(d) < 4 || d[0] != 1 && d[0] != 2 {
		return nil, fmt.Errorf("byte %d: a dataspace that is not of version 1 or 2", m.addr)
	}
	rank, at := int(d[1]), 4
	if d[0] == 1 {
		at = 8
	} else if d[3] == 2 {
		return nil, fmt.Errorf("byte %d: a dataset without values", m.addr)
	}
	if rank > maxRank || len(d) < at+8*rank {
		return nil, fmt.Errorf("byte %d: %d dimensions in %d bytes; at most %d are read", m.addr, rank, len(d), maxRank)
	}
	shape := []int{}
	n := uint64(1)
	for i := range rank {
		v := u64(d[at+8*i:])
		if v > MaxBytes || n*max(v, 1) > MaxBytes {
			return nil, fmt.Errorf("byte %d: more than %d values", m.addr, MaxBytes)
		}
		n *= max(v, 1)
		shape = append(shape, int(v))
	}
	return shape, nil
}

type filter struct {
	id, size int // size: first value of the client
}

func parseFilters(m message) ([]filter, error) {
	bad := fmt.Errorf("byte %d: a damaged list of filters", m.addr)
	d := m.data
	if len(d) < 2 || d[0] != 1 && d[0] != 2 {
		return nil, bad
	}
	v1, n := d[0] == 1, int(d[1])
	d = d[2:]
	if v1 {
		if len(d) < 6 {
			return nil, bad
		}
		d = d[6:]
	}
	var out []filter
	for range n {
		if len(d) < 6 {
			return nil, bad
		}
		k, name := filter{id: u16(d)}, 0
		d = d[2:]
		if v1 || k.id >= 256 {
			name = u16(d)
			d = d[2:]
		}
		if len(d) < 4 {
			return nil, bad
		}
		values := u16(d[2:])
		d = d[4:]
		if v1 {
			name = (name + 7) / 8 * 8
		}
		take := name + 4*values
		if v1 && values%2 == 1 {
			take += 4
		}
		if len(d) < take {
			return nil, bad
		}
		if values > 0 {
			k.size = int(u32(d[name:]))
		}
		d = d[take:]
		if k.id < 1 || k.id > 3 {
			return nil, fmt.Errorf("byte %d: filter %d; read are deflate, shuffle and fletcher32", m.addr, k.id)
		}
		out = append(out, k)
	}
	return out, nil
}

// dataset reads the values that the messages of an object describe.
func (f *file) dataset(ms []message, addr uint64, depth int) (*Dataset, error) {
	var t datatype
	var shape []int
	var filters []filter
	var layout *message
	seen := 0
	for i, m := range ms {
		var err error
		switch m.kind {
		case 1:
			shape, err = parseSpace(m)
			seen |= 1
		case 3:
			t, err = parseType(m)
			seen |= 2
		case 8:
			layout = &ms[i]
		case 11:
			filters, err = parseFilters(m)
		}
		if err != nil {
			return nil, err
		}
	}
	if seen != 3 || layout == nil {
		return nil, fmt.Errorf("byte %d: neither a group of the older form nor a dataset", addr)
	}
	values := 1
	for _, n := range shape {
		values *= n
	}
	if f.left -= 8 * values; t.size > 8 {
		f.left -= t.size * values
	}
	if f.left < 0 {
		return nil, fmt.Errorf("byte %d: the datasets are larger than %d MiB together", addr, MaxBytes>>20)
	}
	raw, err := f.stored(layout, shape, t.size, values, filters, depth)
	if err != nil {
		return nil, err
	}
	d := &Dataset{Shape: shape}
	if t.class == 3 || t.class == 9 {
		d.Strings = make([]string, values)
		for i := range d.Strings {
			if d.Strings[i], err = f.text(raw[i*t.size:(i+1)*t.size], t); err != nil {
				return nil, err
			}
		}
		return d, nil
	}
	d.Numbers = make([]float64, values)
	for i := range d.Numbers {
		d.Numbers[i] = t.number(raw[i*t.size : (i+1)*t.size])
	}
	return d, nil
}

// stored returns the bytes of all values.
func (f *file) stored(m *message, shape []int, size, values int, filters []filter, depth int) ([]byte, error) {
	d, n := m.data, uint64(values*size)
	if len(d) < 2 || d[0] != 3 {
		return nil, fmt.Errorf("byte %d: a layout that is not of version 3", m.addr)
	}
	switch {
	case d[1] == 0 && len(d) >= 4 && uint64(u16(d[2:])) == n && uint64(len(d)) >= 4+n:
		return d[4 : 4+n], nil
	case d[1] == 1 && len(d) >= 18:
		if u64(d[2:]) == undefined { // never written: zeros
			return make([]byte, n), nil
		}
		return f.at(u64(d[2:]), n)
	case d[1] == 2 && len(d) >= 3 && int(d[2]) == len(shape)+1 && len(d) >= 11+4*int(d[2]):
		chunk, bytes := []int{}, uint64(size)
		for i := range shape {
			c := u32(d[11+4*i:])
			if c == 0 || uint64(c) > MaxBytes || bytes*uint64(c) > MaxBytes {
				return nil, fmt.Errorf("byte %d: a chunk of %d along axis %d", m.addr, c, i+1)
			}
			bytes *= uint64(c)
			chunk = append(chunk, int(c))
		}
		if int(u32(d[11+4*len(shape):])) != size {
			return nil, fmt.Errorf("byte %d: chunks of values of another size", m.addr)
		}
		out := make([]byte, n)
		if u64(d[3:]) == undefined {
			return out, nil
		}
		return out, f.chunks(out, u64(d[3:]), shape, chunk, size, int(bytes), filters, depth+1)
	}
	return nil, fmt.Errorf("byte %d: a layout of class %d that does not fit its values", m.addr, d[1])
}

// chunks walks the tree of chunks and copies each to its place.
func (f *file) chunks(out []byte, addr uint64, shape, chunk []int, size, whole int, filters []filter, depth int) error {
	if err := f.node(addr, depth); err != nil {
		return err
	}
	p, err := f.signed(addr, 24, "TREE")
	if err != nil {
		return err
	}
	if p[4] != 1 {
		return fmt.Errorf("byte %d: a tree of kind %d where chunks are expected", addr, p[4])
	}
	n, key := u16(p[6:]), uint64(8+8*(len(shape)+1))
	keys, err := f.at(addr+24, uint64(n)*(key+8)+key)
	if err != nil {
		return err
	}
	for i := range n {
		k := keys[uint64(i)*(key+8):]
		child := u64(k[key:])
		if p[5] > 0 {
			if err := f.chunks(out, child, shape, chunk, size, whole, filters, depth+1); err != nil {
				return err
			}
			continue
		}
		raw, err := f.at(child, uint64(u32(k)))
		if err != nil {
			return err
		}
		if err := f.node(child, depth); err != nil {
			return err
		}
		if f.left -= whole; f.left < 0 {
			return fmt.Errorf("byte %d: the chunks are larger than %d MiB together", addr, MaxBytes>>20)
		}
		if raw, err = f.unpack(raw, u32(k[4:]), filters, whole, size); err != nil {
			return fmt.Errorf("byte %d: chunk: %w", child, err)
		}
		from := make([]int, len(shape))
		for a := range shape {
			v := u64(k[8+8*a:])
			if v >= uint64(max(1, shape[a])) || v%uint64(chunk[a]) != 0 {
				return fmt.Errorf("byte %d: a chunk at %d along axis %d of %d", addr, v, a+1, shape[a])
			}
			from[a] = int(v)
		}
		place(out, raw, shape, chunk, from, size)
	}
	return nil
}

// unpack undoes the filters, last first.
func (f *file) unpack(b []byte, skip uint32, filters []filter, whole, size int) ([]byte, error) {
	for i, k := range slices.Backward(filters) {
		if skip&(1<<min(i, 31)) != 0 {
			continue
		}
		switch k.id {
		case 1:
			var err error
			if f.inflate == nil {
				f.inflate, err = zlib.NewReader(bytes.NewReader(b))
			} else {
				err = f.inflate.(zlib.Resetter).Reset(bytes.NewReader(b), nil)
			}
			if err != nil {
				return nil, err
			}
			// four more for a checksum that was added before
			if b, err = io.ReadAll(io.LimitReader(f.inflate, int64(whole)+5)); err != nil {
				return nil, err
			}
		case 2:
			n := k.size
			if n < 1 || n > size {
				return nil, fmt.Errorf("shuffle of %d bytes in values of %d", n, size)
			}
			out, count := make([]byte, len(b)), len(b)/n
			for j := range count {
				for c := range n {
					out[j*n+c] = b[c*count+j]
				}
			}
			copy(out[count*n:], b[count*n:])
			b = out
		case 3:
			if len(b) < 4 {
				return nil, fmt.Errorf("a checksum in %d bytes", len(b))
			}
			b = b[:len(b)-4]
		}
	}
	if len(b) != whole {
		return nil, fmt.Errorf("%d bytes, expected %d", len(b), whole)
	}
	return b, nil
}

// place copies the part of a chunk that lies within the array.
func place(out, raw []byte, shape, chunk, from []int, size int) {
	rank := len(shape)
	if rank == 0 {
		copy(out, raw)
		return
	}
	at := make([]int, rank) // within the chunk
	run := min(chunk[rank-1], shape[rank-1]-from[rank-1]) * size
	if run <= 0 {
		return
	}
	for {
		src, dst, inside := 0, 0, true
		for a := range rank {
			src, dst = src*chunk[a]+at[a], dst*shape[a]+from[a]+at[a]
			inside = inside && from[a]+at[a] < shape[a]
		}
		if inside {
			copy(out[dst*size:dst*size+run], raw[src*size:])
		}
		a := rank - 2
		for ; a >= 0; a-- {
			if at[a]++; at[a] < chunk[a] && from[a]+at[a] < shape[a] {
				break
			}
			at[a] = 0
		}
		if a < 0 {
			return
		}
	}
}

func (t *datatype) number(b []byte) float64 {
	if t.big {
		b = slices.Clone(b)
		slices.Reverse(b)
	}
	v := uint64(0)
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	switch {
	case t.class == 1 && t.size == 4:
		return float64(math.Float32frombits(uint32(v)))
	case t.class == 1:
		return math.Float64frombits(v)
	case t.signed:
		shift := 64 - 8*t.size
		return float64(int64(v<<shift) >> shift)
	}
	return float64(v)
}

// text returns one string.
func (f *file) text(b []byte, t datatype) (string, error) {
	if t.class == 3 {
		if i := bytes.IndexByte(b, 0); i >= 0 {
			b = b[:i]
		}
		return string(b), nil
	}
	n, addr, index := u32(b), u64(b[4:]), int(u32(b[12:]))
	if n == 0 {
		return "", nil
	}
	head, err := f.signed(addr, 16, "GCOL")
	if err != nil {
		return "", err
	}
	heap, err := f.at(addr, u64(head[8:]))
	if err != nil {
		return "", err
	}
	for at := uint64(16); at+16 <= uint64(len(heap)); {
		if err := f.node(addr+at, 0); err != nil {
			return "", err
		}
		o := heap[at:]
		id, size := u16(o), u64(o[8:])
		if id == 0 || size > uint64(len(o))-16 {
			break
		}
		if id == index {
			if uint64(n) > size {
				return "", fmt.Errorf("byte %d: a string of %d bytes in %d", addr+at, n, size)
			}
			if f.left -= int(n); f.left < 0 {
				return "", fmt.Errorf("byte %d: the strings are too long together", addr+at)
			}
			return string(o[16 : 16+n]), nil
		}
		at += 16 + (size+7)/8*8
	}
	return "", fmt.Errorf("byte %d: string %d is not in its heap", addr, index)
}
