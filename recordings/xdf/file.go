package xdf

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"neurostream/recordings"
)

// File is an open XDF file.
type File struct {
	path   string
	r      io.ReaderAt
	closer io.Closer
	scan   scanner
}

// Open reads the structure of an XDF file, plain or compressed by gzip or zlib
// (.xdfz); the content decides. Damaged files open: what could not be read is in
// Damage. The cost is one pass over the file.
func Open(path string) (*File, error) { return openFile(path, false) }

// OpenBytes opens a file held in memory, which must not change. name is for errors.
func OpenBytes(name string, data []byte) (*File, error) {
	data, err := unpack(name, data)
	if err != nil {
		return nil, err
	}
	return open(name, bytes.NewReader(data), int64(len(data)), io.NopCloser(nil), false)
}

// openFile opens a file; with lenient it need not begin like one.
func openFile(path string, lenient bool) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) && errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%s: no such file: %w", path, os.ErrNotExist)
		}
		return nil, err
	}
	file, err := openPlain(path, f, lenient)
	if err != nil {
		f.Close()
	}
	return file, err
}

func openPlain(path string, f *os.File, lenient bool) (*File, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s: is a folder; name an XDF file in it", path)
	}
	head := make([]byte, 4)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if !packed(head[:n]) {
		return open(path, f, st.Size(), f, lenient)
	}
	data, err := io.ReadAll(io.LimitReader(f, recordings.MaxUnpacked))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if data, err = unpack(path, data); err != nil {
		return nil, err
	}
	file, err := open(path, bytes.NewReader(data), int64(len(data)), io.NopCloser(nil), lenient)
	if err == nil {
		f.Close()
	}
	return file, err
}

func open(path string, r io.ReaderAt, size int64, c io.Closer, lenient bool) (*File, error) {
	f := &File{path: path, r: r, closer: c, scan: scanner{window: window{r: r, size: size}, keep: lenient}}
	head, err := f.scan.slice(0, len(magic))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	from := int64(len(magic))
	if !bytes.Equal(head, magic) {
		if !lenient {
			return nil, fmt.Errorf("%s: is not an XDF file: byte 0 starts %q, not \"XDF:\"; if it was one, try to repair it", path, head)
		}
		from = 0
	}
	if err := f.scan.scan(from); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, s := range f.scan.order {
		s.file = f
	}
	return f, nil
}

func packed(b []byte) bool {
	return len(b) >= 2 && (b[0] == 0x1f && b[1] == 0x8b || b[0] == 0x78 && (uint(b[0])<<8|uint(b[1]))%31 == 0)
}

// unpack undoes compression, if any. A stream that breaks off gives what there is
// until then.
func unpack(path string, data []byte) ([]byte, error) {
	if !packed(data) {
		return data, nil
	}
	var z io.Reader
	var err error
	if data[0] == 0x1f {
		z, err = gzip.NewReader(bytes.NewReader(data))
	} else {
		z, err = zlib.NewReader(bytes.NewReader(data))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: does not unpack (%v); copy or download it again", path, err)
	}
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(z, recordings.MaxUnpacked+1))
	switch {
	case n > recordings.MaxUnpacked:
		return nil, fmt.Errorf("%s: unpacks to more than %d MiB; unpack it first and open the plain file", path, recordings.MaxUnpacked>>20)
	case err != nil && n == 0:
		return nil, fmt.Errorf("%s: does not unpack (%v); copy or download it again", path, err)
	}
	return out.Bytes(), nil
}

// Close closes the file. Streams cannot be read afterwards.
func (f *File) Close() error { return f.closer.Close() }

// Path returns the name the file was opened by.
func (f *File) Path() string { return f.path }

// Streams returns all streams in the order of their headers.
func (f *File) Streams() []*Stream { return f.scan.order }

// Stream returns the stream with this number, or nil.
func (f *File) Stream(id uint32) *Stream { return f.scan.streams[id] }

// Damage returns the stretches that could not be read.
func (f *File) Damage() []Span { return f.scan.damage }

// Notes returns what else is odd about the file, a sentence each.
func (f *File) Notes() []string {
	notes := f.scan.notes
	for id, n := range f.scan.orphans {
		notes = append(notes, fmt.Sprintf("%d chunks of stream %d have no usable header and are skipped", n, id))
	}
	return notes
}

// Created returns when the recording was begun, by the recorder's local time; the
// zero time when the file does not say.
func (f *File) Created() time.Time {
	tree, err := parseXML(f.scan.header)
	if err != nil {
		return time.Time{}
	}
	text := tree.Value("datetime")
	for _, layout := range []string{"2006-01-02T15:04:05-0700", time.RFC3339Nano, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}
