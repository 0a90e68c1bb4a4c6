package udp

import (
	"fmt"
	"strings"
	"testing"

	"neurostream/stream"
)

// read decodes packets with the parameters of a URL.
func read(t testing.TB, format, url string, pkts ...[]byte) *decoded {
	t.Helper()
	f, err := NewFormat(format, query(t, url))
	if err != nil {
		t.Fatal(err)
	}
	return decodeAll(t, f, pkts)
}

// refuse decodes one packet after good ones and expects a fault.
func refuse(t testing.TB, format, url string, good [][]byte, bad []byte, want string) {
	t.Helper()
	f, err := NewFormat(format, query(t, url))
	if err != nil {
		t.Fatal(err)
	}
	d := decodeAll(t, f, good)
	d.faults, d.columns = nil, nil
	d.add(f, stream.NewChunk(&d.layout.Header), bad)
	if len(d.faults) != 1 || !strings.Contains(d.faults[0], want) {
		t.Errorf("%s: packet %.60q: faults %q (%d columns), want %q", format, bad, d.faults, len(d.columns), want)
	}
}

// same compares columns.
func same(t testing.TB, what string, got [][]float64, want ...[]float64) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func TestOpenBCIGolden(t *testing.T) {
	line := []byte("{\"type\":\"timeSeriesRaw\",\"data\":[[1.5,-2.25,1.0E-4],[100000.0,NaN,0.0]]}\r\n")
	mark := []byte("{\"type\":\"marker\",\"data\":[0.0,2.0,0.0]}\r\n")
	d := read(t, "openbci-json", "rate=250&channels=C3,C4", line, mark, line, []byte(`{"type":"focus","data":1}`+"\r\n"))
	same(t, "columns", d.columns, []float64{1.5, 1e5}, []float64{-2.25, 0}, []float64{1e-4, 0}, []float64{1.5, 1e5}, []float64{-2.25, 0}, []float64{1e-4, 0})
	if !d.bad[1][1] || d.bad[1][0] || d.bad[2][1] || d.other != 1 {
		t.Errorf("bad %v, other %d", d.bad, d.other)
	}
	h := d.layout.Header
	if h.Name != "OpenBCI timeSeriesRaw" || h.Rate != 250 || h.Channels[1] != (stream.Channel{Label: "C4", Unit: "uV", Type: "EEG"}) {
		t.Errorf("header %+v", h)
	}
	if len(d.markers) != 1 || d.markers[0].Label != "2" || d.markers[0].Column != 3 {
		t.Errorf("markers %+v", d.markers)
	}
	if d.layout.Evidence != 0 || d.layout.Evidence.String() != "rate of arrival only" {
		t.Errorf("evidence %v", d.layout.Evidence)
	}
}

func TestOpenBCIWidgets(t *testing.T) {
	fft := `{"type":"fft","data":[[` + strings.Repeat("0.5,", 124) + `7.25],[` + strings.Repeat("1.0,", 124) + `8.0]]}` + "\r\n"
	for _, c := range []struct {
		url, line, labels, unit string
		rate                    float64
		want                    [][]float64
	}{
		{"data=timeSeriesFilt&rate=200", `{"type":"timeSeriesFilt","data":[[1.0,2.0]]}`, "ch1", "uV", 200, [][]float64{{1}, {2}}},
		{"data=accelerometer&rate=25", `{"type":"accelerometer","data":[[0.123],[-0.456],[1.000]]}`, "x,y,z", "g", 25, [][]float64{{0.123, -0.456, 1}}},
		{"data=analog&rate=250", `{"type":"analog","data":[[1.0,2.0],[3.0,4.0]]}`, "pin1,pin2", "", 250, [][]float64{{1, 3}, {2, 4}}},
		{"data=digital&rate=250", `{"type":"digital","data":[[1,0],[0,1]]}`, "pin1,pin2", "", 250, [][]float64{{1, 0}, {0, 1}}},
		{"data=bandPower", `{"type":"bandPower","data":[[1.0,2.0,3.0,4.0,5.0],[6.0,7.0,8.0,9.0,10.0]]}`, "ch1 delta,ch1 theta,ch1 alpha,ch1 beta,ch1 gamma,ch2 delta,ch2 theta,ch2 alpha,ch2 beta,ch2 gamma", "", 0, [][]float64{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}},
		{"data=averageBandPower", `{"type":"averageBandPower","data":[0.1,0.2,0.3,0.2,0.2]}`, "delta,theta,alpha,beta,gamma", "", 0, [][]float64{{0.1, 0.2, 0.3, 0.2, 0.2}}},
		{"data=emg", `{"type":"emg","data":[0.5,0.25]}`, "ch1,ch2", "", 0, [][]float64{{0.5, 0.25}}},
		{"data=emgJoystick", `{"type":"emgJoystick","data":[0.900,-0.042]}`, "x,y", "", 0, [][]float64{{0.9, -0.042}}},
		{"data=pulse", `{"type":"pulse","data":[72,833]}`, "rate,interval", "1/min", 0, [][]float64{{72, 833}}},
		{"data=focus", `{"type":"focus","data":1}`, "focus", "", 0, [][]float64{{1}}},
		{"data=marker&rate=250", `{"type":"marker","data":[0.0,3.0]}`, "marker", "", 250, [][]float64{{0}, {3}}},
	} {
		d := read(t, "openbci-json", c.url, []byte(c.line+"\r\n"))
		same(t, c.url, d.columns, c.want...)
		h := d.layout.Header
		if got := strings.Join(h.Labels(), ","); got != c.labels || h.Channels[0].Unit != c.unit || h.Rate != c.rate {
			t.Errorf("%s: labels %s, unit %q, %g Hz", c.url, got, h.Channels[0].Unit, h.Rate)
		}
	}
	d := read(t, "openbci-json", "data=fft&channels=C3,C4", []byte(fft))
	if h := d.layout.Header; len(h.Channels) != 250 || h.Channels[124].Label != "C3 124 Hz" || d.columns[0][124] != 7.25 || d.columns[0][249] != 8 {
		t.Errorf("fft: %d rows, %q", len(h.Channels), h.Channels[124].Label)
	}
}

func TestOpenBCIFaults(t *testing.T) {
	good := [][]byte{[]byte(`{"type":"timeSeriesRaw","data":[[1.0,2.0],[3.0,4.0]]}`)}
	for _, c := range []struct{ line, want string }{
		{"", "no JSON object"},
		{"{", "no key"},
		{`{"type":"timeSeriesRaw","data":[[1.0,2.0],[3.0,`, "no number"},
		{`{"type":"timeSeriesRaw","data":[[1.0,2.0],[3.0`, "an array ends too early"},
		{`{"type":"timeSeriesRaw","data":[[1.0,2.0],[3.0,4.0]]`, "does not end"},
		{`{"type":"timeSeriesRaw","data":[[1.0,2.0],[3.0]]}`, "different lengths (got 1, want 2)"},
		{`{"type":"timeSeriesRaw","data":[[1,05,2,25],[3,00,4,75]]}`, "decimal comma"},
		{`{"type":"timeSeriesRaw","data":[[1.0,2.0]]}`, "channels has changed (got 1, want 2)"},
		{`{"type":"timeSeriesRaw","data":[[],[]]}`, "no numbers"},
		{`{"type":"timeSeriesRaw"}`, "no type, or no data"},
		{`{"data":[[1.0],[2.0]]}`, "no type, or no data"},
		{`{"type":"timeSeriesRaw","data":{}}`, "neither array nor number"},
	} {
		refuse(t, "openbci-json", "rate=250", good, []byte(c.line), c.want)
	}
	if d := read(t, "openbci-json", "rate=250", good[0], []byte(`{"type":"hologram","data":[1]}`), []byte(` {"data":[[5,6],[7,8]] , "type" : "timeSeriesRaw"} `)); d.other != 1 || len(d.columns) != 4 || d.columns[3][1] != 8 {
		t.Errorf("an unknown type or another order: %+v", d)
	}
	f, _ := NewFormat("openbci-json", nil)
	if _, err := f.Learn([]byte(`{"type":"timeSeriesRaw","data":[[1,2,3,4,5,6,7,8]]}`)); err == nil || !strings.Contains(err.Error(), "200 Hz") {
		t.Errorf("no rate: %v", err)
	}
	if _, err := NewFormat("openbci-json", query(t, "data=foo")); err == nil || !strings.Contains(err.Error(), "timeSeriesRaw") {
		t.Errorf("unknown data: %v", err)
	}
}

func FuzzOpenBCI(f *testing.F) { fuzzFormat(f, "openbci-json") }
