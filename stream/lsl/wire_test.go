package lsl

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"neurostream/stream"
)

// wireOf reads the opening of a captured feed and returns how its samples look,
// the info if the archive form carries one, and the place of the first test sample.
func wireOf(t testing.TB, f *feed, s2c []byte) (wire, *Info, int) {
	t.Helper()
	format, ok := FormatOf(f.Stream.Format)
	if !ok {
		t.Fatalf("format %q", f.Stream.Format)
	}
	w := wire{format: format, channels: f.Stream.Channels, version: 100}
	at := 0
	if bytes.HasPrefix(s2c, []byte("LSL/")) {
		end := bytes.Index(s2c, []byte("\r\n\r\n")) + 4
		r, err := parseFeedResponse(s2c[:end])
		if err != nil {
			t.Fatal(err)
		}
		if got := r.append(nil); !bytes.Equal(got, s2c[:end]) {
			t.Errorf("response re-encodes as %q, not %q", got, s2c[:end])
		}
		w.version, w.big, w.noDenormal = r.Data, r.ByteOrder == orderBig, r.NoDenormal
		at = end
	}
	if w.version >= 110 {
		return w, nil, at
	}
	doc, n, err := parseArchiveHeader(s2c[at:])
	if err != nil {
		t.Fatal(err)
	}
	if f.ShortinfoLen > 0 && len(doc) != f.ShortinfoLen {
		t.Errorf("shortinfo of %d bytes, not %d", len(doc), f.ShortinfoLen)
	}
	i, err := ParseInfo(doc)
	if err != nil {
		t.Fatal(err)
	}
	mustEqual(t, "shortinfo", i.AppendXML(nil, false), doc)
	mustEqual(t, "archive header", appendArchiveHeader(nil, doc), s2c[at:at+n])
	return w, &i, at + n
}

// TestFeeds decodes every captured feed to exactly what its JSON says, and
// re-encodes it to the same bytes.
func TestFeeds(t *testing.T) {
	a := captures(t)
	for _, name := range a.feeds(t) {
		t.Run(name, func(t *testing.T) {
			var f feed
			a.load(t, name+".json", &f)
			s2c := a.stream(name, "s2c")
			w, info, at := wireOf(t, &f, s2c)
			if w.version != f.Protocol && !strings.Contains(name, "to100") {
				t.Errorf("protocol %d, not %d", w.version, f.Protocol)
			}
			if info != nil && (info.Name != f.Stream.Name || info.Rate != f.Stream.Rate) {
				t.Errorf("shortinfo says %q at %v Hz", info.Name, info.Rate)
			}
			got, rest, err := w.decodeAll(s2c[at:])
			if err != nil || len(rest) != 0 {
				t.Fatalf("%d bytes left: %v", len(rest), err)
			}
			want := append(append([]feedSample(nil), f.Tests...), f.Samples...)
			if len(got) != len(want) || len(f.Samples) == 0 {
				t.Fatalf("%d samples, not %d", len(got), len(want))
			}
			for i, offset := range []int64{4, 2} {
				mustEqual(t, "test pattern", got[i].packed, w.testPattern(nil, offset))
				if got[i].stamp != testStamp {
					t.Errorf("test stamp %v", got[i].stamp)
				}
			}
			place := at
			clock := deduction{rate: f.Stream.Rate}
			for i, g := range got {
				checkSample(t, i, &w, g, &want[i])
				if i >= 2 && want[i].Offset != 0 && place != want[i].Offset {
					t.Errorf("sample %d at byte %d, not %d", i, place, want[i].Offset)
				}
				place += len(g.raw)
				mustEqual(t, fmt.Sprintf("sample %d re-encoded", i), w.append(nil, g.stamp, g.deduced, g.packed), g.raw)
				if i >= 2 {
					if s := clock.resolve(g.stamp, g.deduced); s != f.Deduced[i-2] {
						t.Errorf("sample %d: stamp %v after deduction, not %v", i-2, s, f.Deduced[i-2])
					}
				}
			}
		})
	}
}

func checkSample(t *testing.T, i int, w *wire, g decoded, want *feedSample) {
	t.Helper()
	if g.deduced != (want.Tag == tagDeduced) {
		t.Fatalf("sample %d: deduced %v with tag %d", i, g.deduced, want.Tag)
	}
	if !g.deduced {
		if bits := fmt.Sprintf("%016x", math.Float64bits(g.stamp)); bits != want.Bits {
			t.Fatalf("sample %d: stamp %s, not %s", i, bits, want.Bits)
		}
	}
	if w.format != String {
		if h := hex.EncodeToString(g.packed); h != strings.Join(want.Values, "") {
			t.Fatalf("sample %d: values %s, not %s", i, h, strings.Join(want.Values, ""))
		}
		return
	}
	s := Strings(nil, g.packed)
	if len(s) != len(want.Strings) {
		t.Fatalf("sample %d: %d strings, not %d", i, len(s), len(want.Strings))
	}
	for k, x := range want.Strings {
		if len(s[k]) != x.Len {
			t.Fatalf("sample %d: string %d has %d bytes, not %d", i, k, len(s[k]), x.Len)
		}
		sum := sha256.Sum256(s[k])
		if x.SHA != "" && hex.EncodeToString(sum[:]) != x.SHA || x.SHA == "" && hex.EncodeToString(s[k]) != x.Hex {
			t.Fatalf("sample %d: string %d is %.60q", i, k, s[k])
		}
	}
}

// TestFeedRequests re-encodes every captured request.
func TestFeedRequests(t *testing.T) {
	a := captures(t)
	for _, name := range a.feeds(t) {
		c2s := a.stream(name, "c2s")
		line, block, _ := bytes.Cut(c2s, []byte("\r\n"))
		r, err := parseFeedRequest(string(line), block)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if r.Version < 110 {
			mustEqual(t, name, r.append(nil), c2s)
			continue
		}
		// Values are read in lower case, so the text is compared that way; the feeds
		// made by hand have other spellings of the swap speed.
		got, want := strings.ToLower(string(r.append(nil))), strings.ToLower(string(c2s))
		if strings.HasPrefix(name, "feed110_") && !strings.Contains(name, "1162") && got != want {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
		if r.MaxBuffer <= 0 || r.UID == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestFeedPieces cuts feeds at every byte: a decoder asks for more, and never
// reads a sample that is not all there.
func TestFeedPieces(t *testing.T) {
	a := captures(t)
	for _, name := range []string{"feed110_int16_regular", "feed110be_double64_regular", "feed100_float32_irregular", "feed100_int64_regular"} {
		var f feed
		a.load(t, name+".json", &f)
		s2c := a.stream(name, "s2c")
		w, _, at := wireOf(t, &f, s2c)
		for cut := at; cut <= len(s2c); cut++ {
			got, rest, err := w.decodeAll(s2c[at:cut])
			if err != nil {
				t.Fatalf("%s cut at %d: %v", name, cut, err)
			}
			n := 0
			for _, g := range got {
				n += len(g.raw)
			}
			if n+len(rest) != cut-at {
				t.Fatalf("%s cut at %d: %d bytes decoded, %d left", name, cut, n, len(rest))
			}
		}
	}
}

func TestColumns(t *testing.T) {
	for _, f := range []Format{Float32, Double64, Int8, Int16, Int32, Int64} {
		for _, rows := range []int{1, 7, 8, 9, 64} {
			var c, d stream.Chunk
			c.Alloc(rows, 3)
			d.Alloc(rows, 3)
			c.Resize(3)
			d.Resize(3)
			for ch := range rows {
				c.Set(ch, 1, float64(ch-30))
			}
			packed := appendColumn(nil, f, &c, 1)
			if len(packed) != rows*f.Size() {
				t.Fatalf("%v x %d: %d bytes", f, rows, len(packed))
			}
			unpackColumn(&d, 2, f, packed)
			for ch := range rows {
				if d.At(ch, 2) != float64(ch-30) {
					t.Fatalf("%v: channel %d is %v", f, ch, d.At(ch, 2))
				}
			}
			for l, v := range d.Tile(d.Tiles() - 1)[2] {
				if (d.Tiles()-1)*stream.Lanes+l >= rows && v != 0 {
					t.Fatalf("%v x %d: unused lane %d holds %v", f, rows, l, v)
				}
			}
			if n := testing.AllocsPerRun(20, func() {
				packed = appendColumn(packed[:0], f, &c, 1)
				unpackColumn(&d, 2, f, packed)
			}); n != 0 {
				t.Errorf("%v: %v allocations", f, n)
			}
		}
	}
}

func TestColumnsNotFinite(t *testing.T) {
	for _, f := range []Format{Float32, Double64} {
		var c stream.Chunk
		c.Alloc(3, 1)
		c.Resize(1)
		var p []byte
		for _, v := range []float64{math.NaN(), math.Inf(-1), 2} {
			p = appendValue(p, f, v)
		}
		unpackColumn(&c, 0, f, p)
		if c.At(0, 0) != 0 || c.At(1, 0) != 0 || c.At(2, 0) != 2 || !c.IsBad(0, 0) || !c.IsBad(1, 0) || c.IsBad(2, 0) {
			t.Errorf("%v: %v, bad %b", f, c.Tile(0)[0], c.Bad(0)[0])
		}
	}
}

func TestRounding(t *testing.T) {
	for _, c := range []struct {
		f    Format
		v    float64
		want int64
	}{
		{Int8, 0.5, 0},
		{Int8, 1.5, 2},
		{Int8, 300, 127},
		{Int8, -300, -128},
		{Int16, -40000, -32768},
		{Int32, 1e12, math.MaxInt32},
		{Int64, 1e30, math.MaxInt64},
		{Int64, -1e30, math.MinInt64},
		{Int16, math.NaN(), 0},
		{Int64, math.Inf(1), math.MaxInt64},
	} {
		if got := intAt(c.f, appendValue(nil, c.f, c.v)); got != c.want {
			t.Errorf("%v as %v is %d, not %d", c.v, c.f, got, c.want)
		}
	}
	for _, v := range []int64{math.MaxInt64, math.MinInt64, 1<<53 + 1} {
		if got := Ints(nil, Int64, appendInt(nil, Int64, v)); got[0] != v {
			t.Errorf("int64 %d comes back as %d", v, got[0])
		}
	}
}

func TestHostileFeeds(t *testing.T) {
	for name, c := range map[string]struct {
		w   wire
		src []byte
	}{
		"tag":                 {wire{Float32, 1, 110, false, false}, []byte{3}},
		"string width":        {wire{String, 1, 110, false, false}, []byte{1, 3, 0}},
		"string of 2^63":      {wire{String, 1, 110, false, false}, []byte{1, 8, 0, 0, 0, 0, 0, 0, 0, 0x80}},
		"string of 2^31":      {wire{String, 1, 110, true, false}, []byte{1, 4, 0x80, 0, 0, 0}},
		"archive tag":         {wire{Int8, 1, 100, false, false}, []byte{1, 9}},
		"archive wide":        {wire{Int8, 1, 100, false, false}, []byte{1, 1, 2, 1, 1}},
		"archive negative":    {wire{Float32, 1, 100, false, false}, []byte{1, 1, 0xff, 1}},
		"archive long string": {wire{String, 1, 100, false, false}, []byte{1, 1, 4, 0, 0, 0, 0x7f}},
	} {
		if _, _, err := c.w.decodeAll(c.src); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func FuzzWire(f *testing.F) {
	a := captures(f)
	for _, name := range a.feeds(f) {
		if strings.Contains(name, "string") {
			continue
		}
		var fd feed
		a.load(f, name+".json", &fd)
		w, _, at := wireOf(f, &fd, a.stream(name, "s2c"))
		f.Add(uint8(w.format), uint8(w.channels), w.version >= 110, w.big, a.stream(name, "s2c")[at:])
	}
	f.Add(uint8(String), uint8(2), true, true, []byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 'a', 4, 0, 0, 0, 0})
	f.Add(uint8(String), uint8(2), false, false, []byte{1, 1, 1, 1, 'a', 0})
	f.Fuzz(func(t *testing.T, format, channels uint8, new, big bool, src []byte) {
		w := wire{format: Format(format%7 + 1), channels: int(channels), version: 100, big: big && new}
		if new {
			w.version = 110
		}
		got, _, err := w.decodeAll(src)
		for _, g := range got {
			p, s, d, n, err := w.decode(nil, w.append(nil, g.stamp, g.deduced, g.packed))
			if err != nil || d != g.deduced || math.Float64bits(s) != math.Float64bits(g.stamp) || n == 0 {
				t.Fatalf("round trip: %v", err)
			}
			if !bytes.Equal(p, g.packed) && (w.version >= 110 || !w.format.Float()) {
				t.Fatalf("round trip of %x gives %x", g.packed, p)
			}
		}
		_ = err
	})
}

func FuzzArchiveHeader(f *testing.F) {
	f.Add(captures(f).stream("feed100_int8_regular", "s2c"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if doc, n, err := parseArchiveHeader(src); err == nil {
			if n > len(src) || len(doc) > n {
				t.Fatal("reads beyond its input")
			}
			_, _ = ParseInfo(doc)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, ch := range []int{16, 64, 256} {
		b.Run(strconv.Itoa(ch), func(b *testing.B) {
			w := wire{format: Float32, channels: ch, version: 110}
			src := w.append(nil, 1, false, make([]byte, 4*ch))
			var c stream.Chunk
			c.Alloc(ch, 1)
			c.Resize(1)
			var packed []byte
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				packed, _, _, _, _ = w.decode(packed[:0], src)
				unpackColumn(&c, 0, Float32, packed)
			}
		})
	}
}
