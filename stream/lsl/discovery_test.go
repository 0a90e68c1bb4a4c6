package lsl

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
)

// TestQueries decodes every captured UDP datagram to what its JSON says and
// re-encodes it.
func TestDatagrams(t *testing.T) {
	a := captures(t)
	kinds := map[string]int{}
	for _, name := range []string{"discovery_v4_site", "discovery_v4_machine", "discovery_knownpeers", "discovery_continuous", "discovery_lan_dual", "timedata", "timedata_lan", "recovery"} {
		var j struct {
			Datagrams []struct {
				Kind, Query, Name, UID string
				Port                   uint16 `json:"return_port"`
				ID                     string `json:"query_id"`
				V4Data                 uint16 `json:"v4data_port"`
				V6Service              uint16 `json:"v6service_port"`
				Wave                   int64
				T0, T1, T2             string
			}
		}
		a.load(t, name+".json", &j)
		got := a.datagrams(t, name+".pcap")
		if len(got) != len(j.Datagrams) {
			t.Fatalf("%s: %d datagrams, not %d", name, len(got), len(j.Datagrams))
		}
		for i, d := range j.Datagrams {
			b := got[i]
			kinds[d.Kind]++
			switch d.Kind {
			case "query":
				q, err := ParseQuery(b)
				if err != nil || q.Expression != d.Query || q.ReturnPort != d.Port || q.ID != d.ID {
					t.Fatalf("%s %d: %+v, %v", name, i, q, err)
				}
				mustEqual(t, name, q.Append(nil), b)
			case "reply":
				id, info, err := ParseReply(b)
				if err != nil || id != d.ID || info.Name != d.Name || info.UID != d.UID || info.V4Data != d.V4Data || info.V6Service != d.V6Service {
					t.Fatalf("%s %d: %+v, %v", name, i, info, err)
				}
				mustEqual(t, name, AppendReply(nil, id, info.AppendXML(nil, false)), b)
			case "time_request", "time_reply":
				parse, enc := parseProbeRequest, (*probe).appendRequest
				if d.Kind == "time_reply" {
					parse, enc = parseProbeReply, (*probe).appendReply
				}
				p, err := parse(b)
				if err != nil || p.wave != d.Wave {
					t.Fatalf("%s %d: %+v, %v", name, i, p, err)
				}
				mustEqual(t, name, enc(&p, nil), b)
				for k, s := range []string{d.T0, d.T1, d.T2} {
					if want, err := strconv.ParseFloat(s, 64); err == nil && want != []float64{p.t0, p.t1, p.t2}[k] {
						t.Fatalf("%s %d: t%d is %v, not %s", name, i, k, []float64{p.t0, p.t1, p.t2}[k], s)
					}
				}
			default:
				t.Fatalf("%s %d: kind %q", name, i, d.Kind)
			}
		}
	}
	for _, k := range []string{"query", "reply", "time_request", "time_reply"} {
		if kinds[k] < 10 {
			t.Errorf("%d datagrams of kind %s", kinds[k], k)
		}
	}
}

func TestFullInfo(t *testing.T) {
	var j struct {
		Connections []struct{ Request, Response string }
	}
	captures(t).load(t, "fullinfo.json", &j)
	if len(j.Connections) != 2 {
		t.Fatalf("%d connections", len(j.Connections))
	}
	for _, c := range j.Connections {
		i, err := ParseInfo([]byte(c.Response))
		if err != nil {
			t.Fatal(err)
		}
		mustEqual(t, i.Name, i.AppendXML(nil, true), []byte(c.Response))
		if i.Name != "Vec_EEG" {
			continue
		}
		for path, want := range map[string]string{
			"manufacturer": "Vector & Sons <test>", "model": "Größe µV 脳波", "quote": `it's "quoted"`,
			"newline": "line1\nline2\ttab", "emptynode": "",
		} {
			if got := i.Desc.Child(path).Value(); got != want {
				t.Errorf("%s is %q, not %q", path, got, want)
			}
		}
		if ch := i.Desc.Child("channels"); len(ch.Children) != 4 || ch.Children[2].Child("label").Value() != "Cz" {
			t.Errorf("channels: %+v", ch)
		}
	}
}

func TestInfoDemands(t *testing.T) {
	good := Info{Name: "n", Channels: 2, Format: Int16, Rate: 100, Version: 110, CreatedAt: 1, UID: "u"}
	doc := string(good.AppendXML(nil, false))
	if _, err := ParseInfo([]byte(doc)); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{"<name>n<", "<name><"},
		{"<uid>u<", "<uid><"},
		{">int16<", ">int24<"},
		{"<channel_count>2<", "<channel_count>-1<"},
		{"<channel_count>2<", "<channel_count>4000000000<"},
		{"<nominal_srate>100.0000000000000<", "<nominal_srate>nan<"},
		{"<nominal_srate>100.0000000000000<", "<nominal_srate>-1<"},
		{"<version>1.100000000000000<", "<version>0<"},
		{"<v4data_port>0<", "<v4data_port>70000<"},
		{"<info>", "<inf>"},
		{"</info>", ""},
	} {
		bad := strings.Replace(doc, c[0], c[1], 1)
		if bad == doc {
			t.Fatalf("%q is not in the document", c[0])
		}
		if _, err := ParseInfo([]byte(bad)); err == nil {
			t.Errorf("%q instead of %q is accepted", c[1], c[0])
		}
	}
	for _, c := range [][2]string{
		{"<?xml version=\"1.0\"?>\n", ""},
		{"<info>", "<!-- c --><!DOCTYPE info SYSTEM \"file:///etc/passwd\"><info a='1>2'>"},
		{"\n", "\r\n"},
		{"\t", ""},
		{"<v6data_port>0</v6data_port>", ""},
		{"1.100000000000000", "1.1000000000000001"},
		{"<source_id></source_id>", "<source_id />"},
		{"<?xml", "\uFEFF<?xml"},
	} {
		i, err := ParseInfo([]byte(strings.ReplaceAll(doc, c[0], c[1])))
		if err != nil || i.Name != "n" || i.Version != 110 || i.Channels != 2 {
			t.Errorf("%q instead of %q: %+v, %v", c[1], c[0], i, err)
		}
	}
	deep := "<info>" + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + "</info>"
	if _, err := ParseInfo([]byte(deep)); err == nil || !strings.Contains(err.Error(), "deep") {
		t.Errorf("a description nested 1000 deep: %v", err)
	}
}

// TestXPath gives the same verdict as liblsl's engine on 128 expressions.
func TestXPath(t *testing.T) {
	var j struct {
		XML     string `json:"streaminfo_xml"`
		Results []struct {
			Query   string
			Matches bool
		}
	}
	captures(t).load(t, "xpath_matches.json", &j)
	if len(j.Results) != 128 {
		t.Fatalf("%d expressions", len(j.Results))
	}
	i, err := ParseInfo([]byte(j.XML))
	if err != nil {
		t.Fatal(err)
	}
	i.Version = 110
	for _, r := range j.Results {
		got, err := i.Matches(r.Query)
		if got != r.Matches {
			t.Errorf("%q: %v (%v), liblsl says %v", r.Query, got, err, r.Matches)
		}
	}
	for q, want := range map[string]bool{
		"desc/channels/channel[2]/following-sibling::channel[1]/label='Cz'": true,
		"desc/channels/channel[3]/preceding-sibling::channel[1]/label='C4'": true,
		"//label[.='Cz']/../unit='microvolts'":                              true,
		"//label[.='Cz']/ancestor::info":                                    true,
		"count(//channel | //label)=8":                                      true,
		"sum(//channel_count)=4":                                            true,
		"round(2.5)=3 and floor(-1.5)=-2 and ceiling(1.2)=2":                true,
		"substring('12345',2,3)='234'":                                      true,
		"substring('12345',1.5,2.6)='234'":                                  true,
		"number('1e3')=1000":                                                false,
		"1 div 0 > 1000":                                                    true,
		"string(1 div 0)='Infinity'":                                        true,
		"(//label)[last()]='Pz'":                                            true,
		"count(//channel[position() mod 2 = 1])=2":                          true,
		"translate('abc','abc','x')='x'":                                    true,
		"processing-instruction('x')":                                       false,
		"count(//text())>10":                                                true,
	} {
		if got, err := i.Matches(q); got != want || err != nil {
			t.Errorf("%q: %v, %v", q, got, err)
		}
	}
	for _, q := range []string{strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200), strings.Repeat("a", 5000), "count(1)", "1[2]", "'a'/b"} {
		if _, err := i.Matches(q); err == nil {
			t.Errorf("%.40q is accepted", q)
		}
	}
	bomb := "//*[count(//*[count(//*[count(//*[count(//*)>0])>0])>0])>0]"
	if _, err := i.Matches(bomb); err == nil {
		t.Errorf("a query that takes 38^5 steps is evaluated")
	}
}

func TestMatchExpression(t *testing.T) {
	i := Info{Name: `it's "A"`, Type: "EEG", Channels: 4, Format: Float32, Rate: 250, Version: 110, CreatedAt: 1, UID: "u", SessionID: "lab", Hostname: "h", SourceID: "s'1"}
	for _, c := range []struct {
		m    Match
		want bool
	}{
		{Match{}, true},
		{Match{Name: `it's "A"`}, true},
		{Match{SourceID: "s'1", SessionID: "lab"}, true},
		{Match{Name: `it's`}, false},
		{Match{Type: "EEG", Hostname: "h", UID: "u"}, true},
		{Match{Predicate: "starts-with(name,'it') and channel_count>3"}, true},
		{Match{SessionID: "other", Predicate: "type='EEG' or type='MEG'"}, false},
	} {
		if got, err := i.Matches(c.m.Expression()); got != c.want || err != nil {
			t.Errorf("%s: %v, %v", c.m.Expression(), got, err)
		}
	}
	if got, err := i.Matches(recoveryExpression(&i)); !got || err != nil {
		t.Errorf("%s: %v, %v", recoveryExpression(&i), got, err)
	}
}

func FuzzXPath(f *testing.F) {
	var j struct {
		XML     string `json:"streaminfo_xml"`
		Results []struct{ Query string }
	}
	captures(f).load(f, "xpath_matches.json", &j)
	for _, r := range j.Results {
		f.Add(r.Query)
	}
	i, err := ParseInfo([]byte(j.XML))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, q string) {
		a, err := i.Matches(q)
		if b, err2 := i.Matches(q); a != b || (err == nil) != (err2 == nil) {
			t.Fatal("the verdict changes")
		}
		if err != nil && a {
			t.Fatal("an error matches")
		}
	})
}

func FuzzInfo(f *testing.F) {
	var j struct {
		Connections []struct{ Response string }
	}
	captures(f).load(f, "fullinfo.json", &j)
	for _, c := range j.Connections {
		f.Add([]byte(c.Response))
	}
	f.Add([]byte("<info><![CDATA[x]]>&#x41;&bad;</info>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := ParseInfo(b)
		if err != nil {
			return
		}
		again, err := ParseInfo(i.AppendXML(nil, true))
		if err != nil {
			t.Fatalf("what we write we cannot read: %v\n%q", err, i.AppendXML(nil, true))
		}
		if math.Abs(again.Rate-i.Rate) > 1e-15*i.Rate {
			t.Fatalf("rate %v becomes %v", i.Rate, again.Rate)
		}
		again.Rate, again.CreatedAt, again.Version = i.Rate, i.CreatedAt, i.Version
		if !bytes.Equal(again.AppendXML(nil, true), i.AppendXML(nil, true)) {
			t.Fatalf("%q\n%q", again.AppendXML(nil, true), i.AppendXML(nil, true))
		}
	})
}

func FuzzDatagrams(f *testing.F) {
	a := captures(f)
	for _, n := range []string{"discovery_v4_machine.pcap", "timedata_lan.pcap"} {
		for _, b := range a.datagrams(f, n) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if q, err := ParseQuery(b); err == nil {
			if r, err := ParseQuery(q.Append(nil)); err != nil || r != q {
				t.Fatalf("%+v becomes %+v, %v", q, r, err)
			}
		}
		_, _, _ = ParseReply(b)
		if p, err := parseProbeRequest(b); err == nil {
			if r, err := parseProbeRequest(p.appendRequest(nil)); err != nil || r.wave != p.wave {
				t.Fatalf("%+v becomes %+v, %v", p, r, err)
			}
		}
		_, _ = parseProbeReply(b)
	})
}

func FuzzHandshake(f *testing.F) {
	a := captures(f)
	f.Add(a.stream("feed110_string_regular", "c2s"))
	f.Add(a.stream("feed110_int8_regular", "s2c")[:200])
	f.Add([]byte("LSL:streamfeed\r\n100 0\r\n"))
	i := Info{Name: "n", Channels: 2, Format: Int16, UID: "u"}
	f.Fuzz(func(t *testing.T, b []byte) {
		line, block, _ := bytes.Cut(b, []byte("\r\n"))
		if r, err := parseFeedRequest(string(line), block); err == nil {
			n := negotiate(&r, &i, Protocol)
			if n.Status == 200 && n.Data != 100 && n.Data < 100 && r.Version >= 100 && r.Protocol == 0 {
				t.Fatalf("%+v gives %+v", r, n)
			}
			_ = n.append(r.append(nil))
		}
		if r, err := parseFeedResponse(b); err == nil {
			_ = fmt.Sprint(r)
		}
	})
}
