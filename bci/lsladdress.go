package bci

import (
	"fmt"
	"net/url"

	"neurostream/stream"
	"neurostream/stream/lsl"
)

var lslParams = []Param{
	{Name: "name", Kind: Text, Doc: "of the stream, when it cannot stand behind lsl://"},
	{Name: "type", Kind: Text, Doc: "content type, e.g. EEG"},
	{Name: "source_id", Kind: Text, Doc: "unique number of the device"},
	{Name: "hostname", Kind: Text, Doc: "of the sender"},
	{Name: "uid", Kind: Text, Doc: "of one run of the sender"},
	{Name: "session", Kind: Text, Doc: "session; * = all"},
	{Name: "predicate", Kind: Text, Doc: "XPath 1.0 condition, e.g. starts-with(name,'Bio')"},
	{Name: "markers", Kind: Text, Doc: "name of a marker stream to join"},
	{Name: "timeout", Kind: Text, Doc: "how long to look for it, e.g. 10s"},
	{Name: "mode", Kind: Text, Default: "all", Choices: []string{"all", "newest"}, Doc: "what to keep for a reader that is late: all, or only the newest"},
	{Name: "buffer", Kind: Text, Doc: "how much to keep, e.g. 360s"},
	{Name: "chunk", Kind: Integer, Min: 1, Max: 1 << 20, Default: 1.0, Doc: "columns of the longest chunk; not given = an eighth of a second"},
	{Name: "repair", Kind: Text, Doc: "of stamps: all, none, or of clock,dejitter,monotone"},
	{Name: "recover", Kind: Text, Doc: "how long to look for a sender that went away: never, or e.g. 1m"},
	{Name: "stale", Kind: Text, Doc: "silence that is reported: never, or e.g. 1s"},
}

// lslURL checks the names of the settings, so that a slip gets a hint; the package
// reads their values.
func (a Address) lslURL(drop string) (*url.URL, error) {
	q, err := url.ParseQuery(a.Query)
	if err != nil {
		return nil, fmt.Errorf("%s: the part behind ? cannot be read (%v)", a.Text, err)
	}
	q.Del(drop)
	return &url.URL{Scheme: "lsl", Host: a.Place, RawQuery: q.Encode()}, nil
}

func openLSL(a Address, _ *Settings) (*Input, error) {
	u, err := a.lslURL("")
	if err != nil {
		return nil, err
	}
	s, err := lsl.Open(u)
	if err != nil {
		return nil, err
	}
	return &Input{Source: s, Live: true, Name: a.Text}, nil
}

func openLSLSink(a Address, _ *Settings) (stream.Sink, error) {
	u, err := a.lslURL("tap")
	if err != nil {
		return nil, err
	}
	if q := u.Query(); q.Has("markers") {
		if q.Get("markers") == "true" {
			q.Set("markers", "yes")
		} else {
			q.Set("markers", "no")
		}
		u.RawQuery = q.Encode()
	}
	sink, err := lsl.OpenSink(u)
	if err != nil {
		return nil, err
	}
	return &onWall{Sink: sink, clock: stream.Wall{}}, nil
}
