package lsl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Element is a node of a stream's description: a name with text, or with children.
type Element struct {
	Name     string
	Text     string
	Children []*Element

	open bool // was written <x></x>, not <x />; kept so that a copy has the same bytes
}

// Add appends a child and returns it.
func (e *Element) Add(name, text string) *Element {
	c := &Element{Name: name, Text: text, open: true}
	e.Children = append(e.Children, c)
	return c
}

// Child returns the first child with this name; nil when there is none. It may be
// called on nil, so that paths can be chained.
func (e *Element) Child(name string) *Element {
	if e == nil {
		return nil
	}
	for _, c := range e.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Value returns the text of the element, "" for nil.
func (e *Element) Value() string {
	if e == nil {
		return ""
	}
	return e.Text
}

// Clone returns a copy that shares no memory with e.
func (e *Element) Clone() *Element {
	if e == nil {
		return nil
	}
	c := *e
	c.Children = nil
	for _, x := range e.Children {
		c.Children = append(c.Children, x.Clone())
	}
	return &c
}

// appendXML writes the element as liblsl's XML library does: tabs, LF, and text on
// the line of its tag.
func (e *Element) appendXML(dst []byte, depth int) []byte {
	for range depth {
		dst = append(dst, '\t')
	}
	dst = append(append(dst, '<'), e.Name...)
	switch {
	case len(e.Children) > 0:
		dst = append(dst, '>')
		dst = appendText(dst, e.Text)
		dst = append(dst, '\n')
		for _, c := range e.Children {
			dst = c.appendXML(dst, depth+1)
		}
		for range depth {
			dst = append(dst, '\t')
		}
	case e.Text == "" && !e.open:
		return append(dst, " />\n"...)
	default:
		dst = append(dst, '>')
		dst = appendText(dst, e.Text)
	}
	dst = append(append(dst, "</"...), e.Name...)
	return append(dst, ">\n"...)
}

func appendText(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '&':
			dst = append(dst, "&amp;"...)
		case c == '<':
			dst = append(dst, "&lt;"...)
		case c == '>':
			dst = append(dst, "&gt;"...)
		case c < ' ' && c != '\t' && c != '\n':
			dst = append(dst, "&#"...)
			dst = strconv.AppendInt(dst, int64(c), 10)
			dst = append(dst, ';')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// parseXML reads the one root element of an XML document. It accepts what LSL
// peers write and no more: elements, text, CDATA, the five named entities and
// character references. Attributes, comments, processing instructions and a
// document type are skipped; nothing external is ever looked up. Bytes that are
// not UTF-8 are replaced.
func parseXML(doc []byte) (*Element, error) {
	if len(doc) > maxInfo {
		return nil, fmt.Errorf("XML of %d bytes; the limit is %d", len(doc), maxInfo)
	}
	s := string(doc)
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\uFFFD")
	}
	if strings.Contains(s, "\r") { // the XML rule for line ends
		s = strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
	}
	p := xmlParser{s: strings.TrimPrefix(s, "\uFEFF")}
	for {
		if err := p.skipText(); err != nil {
			return nil, err
		}
		if p.markup() {
			continue
		}
		if p.err != nil {
			return nil, p.err
		}
		return p.element(0)
	}
}

type xmlParser struct {
	s   string
	i   int
	err error
}

var errXML = errors.New("not XML")

func (p *xmlParser) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", errXML, what, p.i)
}

func (p *xmlParser) skipText() error {
	j := strings.IndexByte(p.s[p.i:], '<')
	if j < 0 {
		return p.fail("no element")
	}
	p.i += j
	return nil
}

// markup skips a comment, a processing instruction or a document type.
func (p *xmlParser) markup() bool {
	rest := p.s[p.i:]
	end := ""
	switch {
	case strings.HasPrefix(rest, "<?"):
		end = "?>"
	case strings.HasPrefix(rest, "<!--"):
		end = "-->"
	case strings.HasPrefix(rest, "<![CDATA["):
		return false
	case strings.HasPrefix(rest, "<!"):
		end = ">"
	default:
		return false
	}
	j := strings.Index(rest, end)
	if j < 0 {
		p.err = p.fail("unfinished " + rest[:2])
		return false
	}
	p.i += j + len(end)
	return true
}

func isNameByte(c byte) bool {
	return c > ' ' && c != '<' && c != '>' && c != '/' && c != '=' && c != '&' && c != '"' && c != '\''
}

func (p *xmlParser) element(depth int) (*Element, error) {
	if depth > maxDepth {
		return nil, p.fail("nested too deeply")
	}
	p.i++ // '<'
	from := p.i
	for p.i < len(p.s) && isNameByte(p.s[p.i]) {
		p.i++
	}
	if p.i == from {
		return nil, p.fail("tag without a name")
	}
	e := &Element{Name: p.s[from:p.i]}
	closed, err := p.attributes()
	if err != nil || closed {
		return e, err
	}
	e.open = true
	var text []byte
	for {
		from := p.i
		if err := p.skipText(); err != nil {
			return nil, p.fail("<" + e.Name + "> is not closed")
		}
		text = appendUnescaped(text, p.s[from:p.i])
		rest := p.s[p.i:]
		switch {
		case strings.HasPrefix(rest, "</"):
			end := strings.IndexByte(rest, '>')
			if end < 0 || strings.TrimSpace(rest[2:end]) != e.Name {
				return nil, p.fail("<" + e.Name + "> is closed by another tag")
			}
			p.i += end + 1
			if len(strings.Trim(string(text), " \t\n")) > 0 { // blank text between tags is layout
				e.Text = string(text)
			}
			return e, nil
		case strings.HasPrefix(rest, "<![CDATA["):
			end := strings.Index(rest, "]]>")
			if end < 0 {
				return nil, p.fail("unfinished CDATA")
			}
			text = append(text, rest[9:end]...)
			p.i += end + 3
		case p.markup():
		case p.err != nil:
			return nil, p.err
		default:
			c, err := p.element(depth + 1)
			if err != nil {
				return nil, err
			}
			e.Children = append(e.Children, c)
		}
	}
}

// attributes skips to the end of a start tag and reports whether it was empty.
func (p *xmlParser) attributes() (closed bool, err error) {
	for p.i < len(p.s) {
		switch c := p.s[p.i]; c {
		case '>':
			p.i++
			return false, nil
		case '/':
			if strings.HasPrefix(p.s[p.i:], "/>") {
				p.i += 2
				return true, nil
			}
			p.i++
		case '"', '\'':
			j := strings.IndexByte(p.s[p.i+1:], c)
			if j < 0 {
				return false, p.fail("unfinished attribute")
			}
			p.i += j + 2
		case '<':
			return false, p.fail("tag inside a tag")
		default:
			p.i++
		}
	}
	return false, p.fail("unfinished tag")
}

var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

// appendUnescaped resolves references; what is none stays as it is.
func appendUnescaped(dst []byte, s string) []byte {
	for {
		i := strings.IndexByte(s, '&')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:i]...)
		s = s[i:]
		end := strings.IndexByte(s[:min(len(s), 12)], ';')
		if end < 0 {
			dst, s = append(dst, '&'), s[1:]
			continue
		}
		name := s[1:end]
		if v, ok := entities[name]; ok {
			dst, s = append(dst, v...), s[end+1:]
			continue
		}
		if r, ok := charRef(name); ok {
			dst, s = utf8.AppendRune(dst, r), s[end+1:]
			continue
		}
		dst, s = append(dst, '&'), s[1:]
	}
}

func charRef(name string) (rune, bool) {
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), true
}
