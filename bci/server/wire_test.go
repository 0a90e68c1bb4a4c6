package server

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"neurostream/bci"
)

var update = flag.Bool("update", false, "rewrite the frames that the page's tests decode")

// decoded is a binary frame read back, and what the page's tests expect.
type decoded struct {
	Kind    int       `json:"kind"`
	Session uint32    `json:"session"`
	First   float64   `json:"first"`
	Time    float64   `json:"time"`
	Columns int       `json:"columns"`
	Rows    int       `json:"rows"`
	Planes  int       `json:"planes"`
	Flags   int       `json:"flags"`
	Bad     []int     `json:"bad"`
	Values  []float32 `json:"values"`
}

func decode(t *testing.T, b []byte) decoded {
	t.Helper()
	if len(b) < headerBytes || string(b[:2]) != "NS" || b[2] != frameVersion {
		t.Fatalf("not a frame: % x", b[:min(len(b), headerBytes)])
	}
	le := binary.LittleEndian
	d := decoded{
		Kind: int(b[3]), Session: le.Uint32(b[4:]), First: math.Float64frombits(le.Uint64(b[8:])), Time: math.Float64frombits(le.Uint64(b[16:])),
		Columns: int(le.Uint32(b[24:])), Rows: int(le.Uint16(b[28:])), Planes: int(b[30]), Flags: int(b[31]), Bad: []int{},
	}
	for r := range d.Rows {
		if b[headerBytes+r/8]&(1<<(r%8)) != 0 {
			d.Bad = append(d.Bad, r)
		}
	}
	for at := headerBytes + (d.Rows+31)/32*4; at < len(b); at += 4 {
		d.Values = append(d.Values, math.Float32frombits(le.Uint32(b[at:])))
	}
	if len(d.Values) != d.Planes*d.Rows*d.Columns {
		t.Fatalf("frame announces %d × %d × %d values and holds %d", d.Planes, d.Rows, d.Columns, len(d.Values))
	}
	return d
}

// exampleBlocks are frames of every kind and shape.
func exampleBlocks() map[string]*block {
	fill := func(b *block, columns int) *block {
		for c := range columns {
			b.add(41+int64(c), 12.5)
			for p := range b.planes {
				for r := range b.rows {
					b.row(p, r)[c] = float32(100*p+10*r) + float32(c)/4
				}
			}
		}
		return b
	}
	signals := fill(newBlock(kindSignals, 35, 1, 8), 3)
	signals.markBad(0)
	signals.markBad(34)
	signals.flags = flagGap | flagRestart
	ranges := fill(newBlock(kindSignals, 3, 2, 4), 4)
	ranges.flags = flagSkipped
	return map[string]*block{
		"signals": signals, "ranges": ranges,
		"decisions": fill(newBlock(kindDecisions, 5, 1, 8), 2), "power": fill(newBlock(kindPower, 8, 1, 1), 1),
	}
}

// TestFramesForPage holds what the encoder writes against files that the page's own
// tests decode, so that the two halves of the protocol cannot drift apart.
func TestFramesForPage(t *testing.T) {
	folder := filepath.Join("..", "web", "test", "frames")
	for name, b := range exampleBlocks() {
		got := make([]byte, b.size())
		b.encode(got, 7)
		want := decode(t, got)
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		for path, content := range map[string][]byte{name + ".bin": got, name + ".json": append(text, '\n')} {
			path = filepath.Join(folder, path)
			if *update {
				if err := os.WriteFile(path, content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			held, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(held, content) {
				t.Errorf("%s is not what the encoder writes; if the change is meant, run go test ./bci/server -run TestFramesForPage -update and the page's tests", path)
			}
		}
	}
}

// TestStatusForPage sees that the page knows every field of the engine's status.
func TestStatusForPage(t *testing.T) {
	source, err := os.ReadFile(filepath.Join("..", "web", "src", "wire.ts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{bci.Status{}, bci.Stage{}, bci.Part{}, bci.Beside{}, bci.Spread{}, bci.Ring{}, bci.Count{}, report{}, serverStatus{}, Tally{}, mark{}, eventLine{}, outcome{}, hello{}, helloSignals{}, helloChannel{}, helloDecision{}, helloPower{}, helloPowerRow{}, lostNotice{}} {
		for f := range reflect.TypeOf(v).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" && !strings.Contains(string(source), name+":") && !strings.Contains(string(source), name+"?:") {
				t.Errorf("%T has %q; web/src/wire.ts does not", v, name)
			}
		}
	}
}

func TestDisplay(t *testing.T) {
	for in, want := range map[float64]float32{1.5: 1.5, math.Inf(1): 0, math.Inf(-1): 0, 1e300: 0, -1e300: 0} {
		if got := display(in); got != want {
			t.Errorf("display(%v) = %v, not %v", in, got, want)
		}
	}
	if got := display(math.NaN()); got != 0 {
		t.Errorf("display(NaN) = %v", got)
	}
}

func TestSplitLabel(t *testing.T) {
	electrodes := []string{"C3", "C", "EEG C3", "Fp1"}
	for label, want := range map[string][2]string{
		"power C3 8-13 Hz":    {"C3", "8-13 Hz"},
		"logpower EEG C3 mu":  {"EEG C3", "mu"},
		"power Fp1":           {"Fp1", ""},
		"power C30 8-13 Hz":   {"power C30 8-13 Hz", ""},
		"asymmetry left rest": {"asymmetry left rest", ""},
	} {
		electrode, band := splitLabel(label, electrodes)
		if electrode != want[0] || band != want[1] {
			t.Errorf("%q is split into %q and %q, not %q", label, electrode, band, want)
		}
	}
}
