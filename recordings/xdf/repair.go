package xdf

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"
)

// Repair reads a damaged or cut-off file and writes every whole chunk of it to a new
// one, which any reader takes: with a boundary chunk where something was lost,
// footers where they were missing or wrong, headers rebuilt where their XML was
// damaged, and explicit stamps where a deduced one would have followed a lost
// sample. The report is that of the damaged file. A whole file is not copied:
// written is false then. out must not exist; it appears only when it is complete.
//
// What cannot be recovered: chunks that are damaged themselves, and the samples of
// a stream whose header is so damaged that its format is not known.
func Repair(in, out string) (report *Report, written bool, err error) {
	f, err := openFile(in, true)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	if report, err = f.report(); err != nil || report.Whole() {
		return report, false, err
	}
	if _, err := os.Lstat(out); err == nil {
		return report, false, fmt.Errorf("%s: exists already; choose another name for the repaired file: %w", out, fs.ErrExist)
	}
	tmp, err := os.CreateTemp(filepath.Dir(out), ".repair-*")
	if err != nil {
		return report, false, err
	}
	defer os.Remove(tmp.Name()) // gone already when all went well
	b := bufio.NewWriterSize(tmp, 1<<20)
	err = errors.Join(f.rewrite(b), b.Flush(), tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), out)
	}
	if err != nil {
		return report, false, fmt.Errorf("%s: %w", out, err)
	}
	return report, true, nil
}

// rewrite writes a whole file of all good chunks.
func (f *File) rewrite(w *bufio.Writer) error {
	s := &f.scan
	var b []byte
	put := func() error {
		_, err := w.Write(b)
		b = b[:0]
		return err
	}
	b = append(b, magic...)
	if s.header == nil {
		b = appendChunk(b, tagFileHeader, 0, false, fileHeader(time.Unix(0, 0).UTC()))
	}
	headed := make(map[uint32]bool)
	next := make(map[uint32]int) // Samples chunks written by stream
	damage := s.damage
	for _, p := range s.pieces {
		if len(damage) > 0 && p.pos >= damage[0].To {
			b = appendChunk(b, tagBoundary, 0, false, boundary[:])
			damage = damage[1:]
		}
		raw, err := s.slice(p.pos, int(p.end-p.pos))
		if err != nil {
			return err
		}
		content := raw[p.body-p.pos:]
		if p.tag < tagFileHeader || p.tag > tagStreamFooter || p.tag == tagBoundary || p.tag == tagFileHeader {
			b = append(b, raw...)
		} else if id := binary.LittleEndian.Uint32(content); s.streams[id] != nil {
			if b, err = f.rewriteOwned(b, s.streams[id], p, raw, headed, next); err != nil {
				return err
			}
		}
		if err := put(); err != nil {
			return err
		}
	}
	for _, st := range s.order {
		if !headed[st.ID] {
			var err error
			if b, err = appendHeader(b, st); err != nil {
				return err
			}
		}
		if st.Footer != nil && (!st.closed || st.announced == st.Len()) {
			continue
		}
		first, last := 0.0, 0.0
		if n := len(st.stamps); n > 0 {
			first, last = st.stamps[0], st.stamps[n-1]
		}
		b = appendChunk(b, tagStreamFooter, st.ID, true, footer(first, last, st.Len(), st.offsets))
	}
	return put()
}

// rewriteOwned adds one chunk of a stream to b: as it is, rewritten, or not at all.
func (f *File) rewriteOwned(b []byte, st *Stream, p piece, raw []byte, headed map[uint32]bool, next map[uint32]int) ([]byte, error) {
	if !headed[st.ID] {
		headed[st.ID] = true
		if p.tag == tagStreamHeader && st.Info.Tree != nil {
			return append(b, raw...), nil
		}
		var err error
		if b, err = appendHeader(b, st); err != nil {
			return b, err
		}
	}
	switch p.tag {
	case tagStreamHeader:
		return b, nil
	case tagSamples:
		r := &st.chunks[next[st.ID]]
		next[st.ID]++
		if !r.doubtful {
			return append(b, raw...), nil
		}
		content := binary.LittleEndian.AppendUint32([]byte{4}, uint32(r.n))
		samples := raw[r.samples-p.pos:]
		for i := range r.n {
			size, _, explicit, ok := nextSample(samples, &st.Info)
			if !ok {
				return b, fmt.Errorf("byte %d: the file changed while it was open", r.samples)
			}
			values := samples[1:size]
			if explicit {
				values = values[8:]
			}
			content = binary.LittleEndian.AppendUint64(append(content, 8), math.Float64bits(st.stamps[r.first+int64(i)]))
			content = append(content, values...)
			samples = samples[size:]
		}
		return appendChunk(b, tagSamples, st.ID, true, content), nil
	case tagStreamFooter:
		if st.Footer == nil || st.closed && st.announced != st.Len() {
			return b, nil
		}
	}
	return append(b, raw...), nil
}

// appendHeader adds a header made of what is known of a stream.
func appendHeader(b []byte, st *Stream) ([]byte, error) {
	info := st.Info
	info.XML = ""
	header, err := info.header()
	return appendChunk(b, tagStreamHeader, st.ID, true, header), err
}
