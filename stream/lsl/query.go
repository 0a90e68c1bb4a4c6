package lsl

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Query is a discovery datagram.
//
//	query:  LSL:shortinfo CRLF <XPath expression> CRLF <return port> SP <id> CRLF
//	reply:  <id> CRLF <stream info XML without description>
//
// The reply goes to the sender's address and the return port.
type Query struct {
	Expression string // "" matches every stream
	ReturnPort uint16
	ID         string // echoed; no white space
}

const queryMethod = "LSL:shortinfo"

// Append appends the datagram.
func (q *Query) Append(dst []byte) []byte {
	dst = append(append(dst, queryMethod+"\r\n"...), q.Expression...)
	dst = append(dst, "\r\n"...)
	dst = strconv.AppendUint(dst, uint64(q.ReturnPort), 10)
	dst = append(append(dst, ' '), q.ID...)
	return append(dst, "\r\n"...)
}

var errQuery = errors.New("not a discovery query")

// ParseQuery reads a discovery query; bare LF line ends are accepted.
func ParseQuery(b []byte) (Query, error) {
	method, rest, _ := bytes.Cut(b, []byte("\n"))
	if string(bytes.TrimSpace(method)) != queryMethod {
		return Query{}, errQuery
	}
	expr, rest, ok := bytes.Cut(rest, []byte("\n"))
	f := bytes.Fields(rest)
	if !ok || len(f) < 2 {
		return Query{}, fmt.Errorf("%w: no return address", errQuery)
	}
	port, err := strconv.ParseUint(string(f[0]), 10, 16)
	if err != nil || port == 0 {
		return Query{}, fmt.Errorf("%w: return port %.20q", errQuery, f[0])
	}
	return Query{Expression: string(bytes.TrimSpace(expr)), ReturnPort: uint16(port), ID: string(f[1])}, nil
}

// AppendReply appends the answer to a query.
func AppendReply(dst []byte, id string, shortinfo []byte) []byte {
	dst = append(append(dst, id...), "\r\n"...)
	return append(dst, shortinfo...)
}

// ParseReply splits an answer into the id of its query and the stream info.
func ParseReply(b []byte) (id string, i Info, err error) {
	line, doc, ok := bytes.Cut(b, []byte("\n"))
	if !ok {
		return "", Info{}, errors.New("not a discovery reply")
	}
	i, err = ParseInfo(doc)
	return string(bytes.TrimRight(line, " \t\r")), i, err
}

// Match says which streams are meant. Empty fields do not restrict; Predicate is
// an XPath expression on the stream info, as liblsl users write them.
type Match struct {
	Name, Type, SourceID, Hostname, SessionID, UID string
	Predicate                                      string // e.g. "starts-with(name,'Bio') and channel_count>4"
}

// Expression returns the XPath expression for m. Unlike liblsl it quotes values
// that hold quotes and puts the predicate in parentheses, so that an "or" in it
// does not escape the session.
func (m Match) Expression() string {
	var terms []string
	add := func(field, v string) {
		if v != "" {
			terms = append(terms, field+"="+quote(v))
		}
	}
	add("session_id", m.SessionID)
	add("name", m.Name)
	add("type", m.Type)
	add("source_id", m.SourceID)
	add("hostname", m.Hostname)
	add("uid", m.UID)
	if p := strings.TrimSpace(m.Predicate); p != "" {
		if len(terms) > 0 {
			p = "(" + p + ")"
		}
		terms = append(terms, p)
	}
	return strings.Join(terms, " and ")
}

// String returns the match for a person.
func (m Match) String() string {
	m.SessionID = ""
	if e := m.Expression(); e != "" {
		return e
	}
	return "any stream"
}

// quote writes an XPath string literal; XPath has no escapes, so a value with both
// kinds of quotes becomes a concat.
func quote(s string) string {
	s = strings.NewReplacer("\r", " ", "\n", " ").Replace(s) // a query is one line
	if !strings.Contains(s, "'") {
		return "'" + s + "'"
	}
	if !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	parts := strings.Split(s, "'")
	return "concat('" + strings.Join(parts, `',"'",'`) + "')"
}

// recoveryExpression is the query that finds a stream again after its outlet went
// away, the same that liblsl asks.
func recoveryExpression(i *Info) string {
	var terms []string
	add := func(field, v string) {
		if v != "" {
			terms = append(terms, field+"="+quote(v))
		}
	}
	add("channel_count", strconv.Itoa(i.Channels))
	add("name", i.Name)
	add("type", i.Type)
	add("source_id", i.SourceID)
	add("channel_format", i.Format.String())
	return strings.Join(terms, " and ")
}
