package xdf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Limits on XML in a file.
const (
	maxXML   = 16 << 20 // bytes
	maxDepth = 64
)

// Element is a node of the XML of a header or footer.
type Element struct {
	Name     string
	Text     string // without surrounding space
	Children []Element
}

// Child returns the first child with this name, or nil. A nil element has none.
func (e *Element) Child(name string) *Element {
	if e == nil {
		return nil
	}
	for i := range e.Children {
		if e.Children[i].Name == name {
			return &e.Children[i]
		}
	}
	return nil
}

// Find walks down a path such as "desc/channels"; nil when there is no such element.
func (e *Element) Find(path string) *Element {
	for name := range strings.SplitSeq(path, "/") {
		e = e.Child(name)
	}
	return e
}

// Value returns the text of the element at a path below e, "" when there is none.
func (e *Element) Value(path string) string {
	if e = e.Find(path); e != nil {
		return e.Text
	}
	return ""
}

// parseXML reads one XML document. Bytes that are not UTF-8 become U+FFFD.
func parseXML(data []byte) (*Element, error) {
	if len(data) > maxXML {
		return nil, fmt.Errorf("XML of %d bytes; the limit is %d", len(data), maxXML)
	}
	if !utf8.Valid(data) {
		data = bytes.ToValidUTF8(data, []byte("\uFFFD"))
	}
	d := xml.NewDecoder(bytes.NewReader(data))
	d.Strict = false
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	for {
		tok, err := d.Token()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("no element")
			}
			return nil, err
		}
		if start, ok := tok.(xml.StartElement); ok {
			e := &Element{Name: start.Name.Local}
			return e, e.read(d, 1)
		}
	}
}

func (e *Element) read(d *xml.Decoder, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("XML deeper than %d elements", maxDepth)
	}
	var text strings.Builder
	for {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			c := Element{Name: tok.Name.Local}
			if err := c.read(d, depth+1); err != nil {
				return err
			}
			e.Children = append(e.Children, c)
		case xml.CharData:
			text.Write(tok)
		case xml.EndElement:
			e.Text = strings.TrimSpace(text.String())
			return nil
		}
	}
}

// salvage finds the text of an element by its tags alone, for XML that is damaged
// elsewhere.
func salvage(data []byte, name string) string {
	_, rest, ok := bytes.Cut(data, []byte("<"+name+">"))
	if !ok {
		return ""
	}
	text, _, ok := bytes.Cut(rest, []byte("</"+name+">"))
	if !ok || bytes.IndexByte(text, '<') >= 0 || !utf8.Valid(text) {
		return ""
	}
	return strings.TrimSpace(string(text))
}
