package lsl

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Info describes a stream: what the sender declares, and where it is served.
//
//	<?xml version="1.0"?>
//	<info>
//		<name> <type> <channel_count> <channel_format> <source_id> <nominal_srate>
//		<version> <created_at> <uid> <session_id> <hostname>
//		<v4address> <v4data_port> <v4service_port>
//		<v6address> <v6data_port> <v6service_port>
//		<desc>  ... any tree; empty in discovery replies ...  </desc>
//	</info>
type Info struct {
	Name      string  // not empty
	Type      string  // "EEG", "Markers", ...
	Channels  int     // values per sample
	Format    Format  //
	SourceID  string  // identifies the device over restarts; "" forbids recovery
	Rate      float64 // nominal samples per second; 0 = irregular
	Version   int     // protocol version times 100
	CreatedAt float64 // sender's clock in seconds when the outlet was made
	UID       string  // of this instance of the outlet, lower case
	SessionID string
	Hostname  string

	V4Address, V6Address string // empty until a reply has been seen
	V4Data, V4Service    uint16 // ports; 0 = not served over IPv4
	V6Data, V6Service    uint16

	Desc *Element // nil = empty
}

// appendNumber writes sixteen significant digits and always a decimal point, as
// C's %#.16g does.
func appendNumber(dst []byte, v float64) []byte {
	return fmt.Appendf(dst, "%#.16g", v)
}

// AppendXML appends the stream info as liblsl writes it: with the description
// when full, else with an empty one.
func (i *Info) AppendXML(dst []byte, full bool) []byte {
	dst = append(dst, "<?xml version=\"1.0\"?>\n<info>\n"...)
	text := func(name, v string) {
		dst = append(append(append(dst, "\t<"...), name...), '>')
		dst = appendText(dst, v)
		dst = append(append(append(dst, "</"...), name...), ">\n"...)
	}
	number := func(name string, v float64) { text(name, string(appendNumber(nil, v))) }
	port := func(name string, v uint16) { text(name, strconv.Itoa(int(v))) }
	text("name", i.Name)
	text("type", i.Type)
	text("channel_count", strconv.Itoa(i.Channels))
	text("channel_format", i.Format.String())
	text("source_id", i.SourceID)
	number("nominal_srate", i.Rate)
	number("version", float64(i.Version)/100)
	number("created_at", i.CreatedAt)
	text("uid", i.UID)
	text("session_id", i.SessionID)
	text("hostname", i.Hostname)
	text("v4address", i.V4Address)
	port("v4data_port", i.V4Data)
	port("v4service_port", i.V4Service)
	text("v6address", i.V6Address)
	port("v6data_port", i.V6Data)
	port("v6service_port", i.V6Service)
	if full && i.Desc != nil && (len(i.Desc.Children) > 0 || i.Desc.Text != "") {
		d := *i.Desc
		d.Name = "desc"
		dst = d.appendXML(dst, 1)
	} else {
		dst = append(dst, "\t<desc />\n"...)
	}
	return append(dst, "</info>\n"...)
}

// ParseInfo reads a stream info. It demands what liblsl demands, except that
// ports may be missing, which then count as not served.
func ParseInfo(doc []byte) (Info, error) {
	root, err := parseXML(doc)
	if err != nil {
		return Info{}, fmt.Errorf("stream info: %w", err)
	}
	return infoOf(root)
}

func infoOf(root *Element) (Info, error) {
	if root.Name != "info" {
		return Info{}, fmt.Errorf("stream info: the root element is <%.40s>, not <info>", root.Name)
	}
	var errs []error
	get := func(name string) string { return root.Child(name).Value() }
	bad := func(name, rule string) {
		errs = append(errs, fmt.Errorf("stream info: %s is %.60q, %s", name, get(name), rule))
	}
	port := func(name string) uint16 {
		t := strings.TrimSpace(get(name))
		if t == "" {
			return 0
		}
		n, err := strconv.ParseUint(t, 10, 16)
		if err != nil {
			bad(name, "not a port from 0 to 65535")
		}
		return uint16(n)
	}
	i := Info{
		Name: get("name"), Type: get("type"), SourceID: get("source_id"),
		UID: get("uid"), SessionID: get("session_id"), Hostname: get("hostname"),
		V4Address: get("v4address"), V4Data: port("v4data_port"), V4Service: port("v4service_port"),
		V6Address: get("v6address"), V6Data: port("v6data_port"), V6Service: port("v6service_port"),
		Desc: root.Child("desc"),
	}
	if i.Name == "" {
		bad("name", "but must not be empty")
	}
	if i.UID == "" {
		bad("uid", "but must not be empty")
	}
	n, err := strconv.Atoi(strings.TrimSpace(get("channel_count")))
	if err != nil || n < 0 || n > maxChannels {
		bad("channel_count", fmt.Sprintf("not a number from 0 to %d", maxChannels))
	}
	i.Channels = n
	var ok bool
	if i.Format, ok = FormatOf(strings.TrimSpace(get("channel_format"))); !ok {
		bad("channel_format", "not one of "+strings.Join(formatNames[1:], " "))
	}
	if i.Rate, err = parseNumber(get("nominal_srate")); err != nil || i.Rate < 0 {
		bad("nominal_srate", "not a number of at least 0")
	}
	v, err := parseNumber(get("version"))
	if err != nil || v <= 0 || v > 1e6 {
		bad("version", "not a positive number")
	}
	i.Version = int(math.Floor(float64(v*100) + 1e-6)) // 1.1 has been written as 1.1000000000000001 and as 1.1
	if i.CreatedAt, err = parseNumber(get("created_at")); err != nil {
		bad("created_at", "not a number")
	}
	if len(errs) > 0 {
		return Info{}, errors.Join(errs...)
	}
	return i, nil
}

func parseNumber(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
		err = errors.New("not finite")
	}
	return v, err
}

// Describe returns one line for a person.
func (i *Info) Describe() string {
	rate := "irregular"
	if i.Rate > 0 {
		rate = strconv.FormatFloat(i.Rate, 'g', 6, 64) + " Hz"
	}
	return fmt.Sprintf("%q (%s, %d x %s, %s, host %s)", i.Name, i.Type, i.Channels, i.Format, rate, i.Hostname)
}
