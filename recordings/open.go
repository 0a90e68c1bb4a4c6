package recordings

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// MaxUnpacked bounds what a compressed file may unpack to, in bytes: a gzip
// stream has no random access, so it is unpacked into memory.
const MaxUnpacked = 1 << 30

// Formats that Detect tells apart.
const (
	FormatEDF         = "EDF"
	FormatBDF         = "BDF"
	FormatXDF         = "XDF"
	FormatGDF         = "GDF"
	FormatBrainVision = "BrainVision"
	FormatEEGLAB      = "EEGLAB"
)

// Open opens a recording: EDF, EDF+, BDF, BDF+ or GDF, plain or gzipped; BrainVision,
// by its header file; EEGLAB. The content decides; the file's name only helps to word
// errors. A file that is shorter or longer than its header says is a *LengthError;
// OpenPartial reads what is there. XDF files, which hold several streams, are opened
// by the xdf package, CSV by OpenCSV.
func Open(path string) (Recording, error) { return open(path, false) }

// OpenPartial is Open for a damaged file: it reads the whole data records that
// are there, whatever number the header announces, and says so in Info.
func OpenPartial(path string) (Recording, error) { return open(path, true) }

// OpenBytes opens a recording held in memory, e.g. an embedded one; name is used
// in errors and for the stream. The recording keeps data, which must not change.
func OpenBytes(name string, data []byte) (Recording, error) {
	if isGzip(data) {
		var err error
		if data, err = unpack(name, bytes.NewReader(data), MaxUnpacked); err != nil {
			return nil, err
		}
	}
	return openContent(name, bytes.NewReader(data), int64(len(data)), nopCloser{}, false)
}

// Detect returns the format of a file by its first bytes: one of the Format
// constants, or "" when it is none that this module reads. Compressed files are
// looked into.
func Detect(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fileError(path, err)
	}
	defer f.Close()
	head := make([]byte, sniffLen)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", fileError(path, err)
	}
	head = head[:n]
	if !isGzip(head) && !isZlib(head) {
		return sniff(head), nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", fileError(path, err)
	}
	var z io.Reader
	if isGzip(head) {
		z, err = gzip.NewReader(f)
	} else {
		z, err = zlib.NewReader(f)
	}
	if err != nil {
		return "", nil // whoever opens it will say what is wrong
	}
	n, _ = io.ReadFull(z, head[:cap(head)])
	return sniff(head[:n]), nil
}

const sniffLen = 16

// sniff names the format of a file from its first bytes.
func sniff(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("0       ")):
		return FormatEDF
	case bytes.HasPrefix(head, []byte("\xffBIOSEMI")):
		return FormatBDF
	case bytes.HasPrefix(head, []byte("XDF:")):
		return FormatXDF
	case bytes.HasPrefix(head, []byte("GDF ")):
		return FormatGDF
	case brainVisionHead(head):
		return FormatBrainVision
	case matHead(head):
		return FormatEEGLAB
	}
	return ""
}

func open(path string, partial bool) (Recording, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	r, err := openFile(path, f, partial)
	if err != nil {
		f.Close()
		return nil, err
	}
	return r, nil
}

// openFile takes over f when it succeeds.
func openFile(path string, f *os.File, partial bool) (Recording, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, fileError(path, err)
	}
	if st.IsDir() {
		return nil, fmt.Errorf("%s: is a folder; name a recording in it", path)
	}
	head := make([]byte, sniffLen)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fileError(path, err)
	}
	if !isGzip(head[:n]) {
		return openContent(path, f, st.Size(), f, partial)
	}
	data, err := unpack(path, f, MaxUnpacked)
	if err != nil {
		return nil, err
	}
	r, err := openContent(path, bytes.NewReader(data), int64(len(data)), nopCloser{}, partial)
	if err == nil {
		f.Close()
	}
	return r, err
}

func openContent(path string, r io.ReaderAt, size int64, c io.Closer, partial bool) (Recording, error) {
	head := make([]byte, sniffLen)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fileError(path, err)
	}
	head = head[:n]
	switch sniff(head) {
	case FormatEDF, FormatBDF:
		return openEDF(path, r, size, c, partial)
	case FormatGDF:
		return openGDF(path, r, size, c, partial)
	case FormatEEGLAB:
		return openEEGLAB(path, r, size, c)
	case FormatBrainVision:
		recording, err := openBrainVision(path)
		if err == nil {
			c.Close() // it opens its own files
		}
		return recording, err
	case FormatXDF:
		return nil, fmt.Errorf("%s: is an XDF file, which holds several streams: open it with the xdf package", path)
	}
	if n == 0 {
		return nil, fmt.Errorf("%s: is empty; expected an EDF, BDF, GDF, BrainVision, EEGLAB or XDF recording", path)
	}
	return nil, fmt.Errorf("%s: is not a recording: byte 0 starts %q; the formats read are EDF, BDF, GDF, BrainVision (.vhdr), EEGLAB (.set) and XDF",
		path, head[:min(len(head), 8)])
}

func isGzip(b []byte) bool { return len(b) >= 2 && b[0] == 0x1f && b[1] == 0x8b }

// isZlib recognises what some recorders pack XDF with.
func isZlib(b []byte) bool {
	return len(b) >= 2 && b[0] == 0x78 && (uint(b[0])<<8|uint(b[1]))%31 == 0
}

// unpack reads a gzip stream of at most limit bytes. A stream that breaks off gives
// what was unpacked until there: the format's own checks then say what is missing.
func unpack(path string, r io.Reader, limit int64) ([]byte, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%s: starts like gzip but does not unpack (%v); copy or download it again", path, err)
	}
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(z, limit+1))
	switch {
	case n > limit:
		return nil, fmt.Errorf("%s: unpacks to more than %d MiB; unpack it first (gunzip) and open the plain file", path, limit>>20)
	case errors.Is(err, io.ErrUnexpectedEOF) && n > 0:
	case err != nil:
		return nil, fmt.Errorf("%s: gzip data damaged after %d unpacked bytes (%v); copy or download it again", path, n, err)
	}
	return out.Bytes(), nil
}

type nopCloser struct{}

func (nopCloser) Close() error { return nil }

// fileError words an error of the operating system for a person.
func fileError(path string, err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("%s: no such file%s: %w", path, neighbours(path), os.ErrNotExist)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s: may not be read by this user: %w", path, os.ErrPermission)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// neighbours suggests a file of the same folder whose name differs only in case
// or ending.
func neighbours(path string) string {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return " (nor its folder)"
	}
	want := bare(filepath.Base(path))
	for _, e := range entries {
		if bare(e.Name()) == want {
			return fmt.Sprintf("; did you mean %s?", filepath.Join(filepath.Dir(path), e.Name()))
		}
	}
	return ""
}

// bare returns a file's name without endings, in lower case.
func bare(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(filepath.Base(name)), ".")
	return name
}

// streamName names the stream of a file: its name without endings.
func streamName(path string) string {
	name := filepath.Base(path)
	if strings.EqualFold(filepath.Ext(name), ".gz") {
		name = swapEnding(name, "")
	}
	if short := swapEnding(name, ""); short != "" {
		return short
	}
	return name
}

// swapEnding replaces the last ending of a path.
func swapEnding(path, ending string) string {
	return strings.TrimSuffix(path, filepath.Ext(path)) + ending
}
