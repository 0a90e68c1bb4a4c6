package bci

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is a YAML value with the line it stands on. Exactly one of the kinds is in
// use. Anchors, aliases, tags and merge keys are refused: a pipeline file is small
// and says what it means.
type node struct {
	line    int
	kind    string // "mapping", "list", "text", "number", "truth value", "nothing"
	text    string // of a scalar, as written
	number  float64
	truth   bool
	keys    []key
	entries []*node
}

type key struct {
	name  string
	line  int
	value *node
}

// FileError is a mistake in a file that a person wrote: what, where, what to do.
type FileError struct {
	Path string
	Line int // 0 when it concerns the whole file
	Msg  string
}

func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Path, e.Msg)
	}
	return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Msg)
}

const (
	maxPipelineBytes = 1 << 20
	maxDepth         = 16
)

func parseYAML(path string, src []byte) (*node, error) {
	fail := func(line int, format string, args ...any) error {
		return &FileError{Path: path, Line: line, Msg: fmt.Sprintf(format, args...)}
	}
	if len(src) > maxPipelineBytes {
		return nil, fail(0, "%d bytes are too many for a pipeline file; the limit is %d", len(src), maxPipelineBytes)
	}
	if !utf8.Valid(src) || strings.ContainsRune(string(src), 0) {
		return nil, fail(0, "this is not a text file; a pipeline is written in YAML (see: bci stages)")
	}
	f, err := parser.ParseBytes(src, 0)
	if err != nil {
		var e yaml.Error
		if errors.As(err, &e) {
			line := 0
			if t := e.GetToken(); t != nil && t.Position != nil {
				line = t.Position.Line
			}
			return nil, fail(line, "not valid YAML: %s", e.GetMessage())
		}
		return nil, fail(0, "not valid YAML: %v", err)
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return nil, fail(0, "the file is empty; a pipeline lists its stages (see: bci stages)")
	}
	if len(f.Docs) > 1 {
		return nil, fail(f.Docs[1].GetToken().Position.Line, "a pipeline file holds one document")
	}
	return convert(f.Docs[0].Body, 0, fail)
}

func convert(n ast.Node, depth int, fail func(int, string, ...any) error) (*node, error) {
	line := 0
	if t := n.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	if depth > maxDepth {
		return nil, fail(line, "nested more than %d deep", maxDepth)
	}
	out := &node{line: line}
	switch v := n.(type) {
	case *ast.MappingNode:
		out.kind = "mapping"
		seen := map[string]int{}
		for _, kv := range v.Values {
			if err := addKey(out, kv, seen, depth, fail); err != nil {
				return nil, err
			}
		}
		if len(out.keys) > 0 {
			out.line = out.keys[0].line
		}
	case *ast.MappingValueNode:
		out.kind = "mapping"
		if err := addKey(out, v, map[string]int{}, depth, fail); err != nil {
			return nil, err
		}
		out.line = out.keys[0].line
	case *ast.SequenceNode:
		out.kind = "list"
		for _, e := range v.Values {
			c, err := convert(e, depth+1, fail)
			if err != nil {
				return nil, err
			}
			out.entries = append(out.entries, c)
		}
	case *ast.StringNode:
		out.kind, out.text = "text", v.Value
		if v.Token.Type == token.StringType && strings.ContainsAny(v.Value, "eE") { // 3e1: the parser wants a point
			if x, err := strconv.ParseFloat(v.Value, 64); err == nil && x-x == 0 {
				out.kind, out.number = "number", x
			}
		}
	case *ast.LiteralNode:
		out.kind, out.text = "text", v.Value.Value
	case *ast.IntegerNode:
		out.kind, out.text = "number", v.GetToken().Value
		switch i := v.Value.(type) {
		case int64:
			out.number = float64(i)
		case uint64:
			out.number = float64(i)
		}
	case *ast.FloatNode:
		out.kind, out.text, out.number = "number", v.GetToken().Value, v.Value
		if math.IsInf(v.Value, 0) || math.IsNaN(v.Value) {
			return nil, fail(line, "%s is not a usable number", out.text)
		}
	case *ast.BoolNode:
		out.kind, out.text, out.truth = "truth value", v.GetToken().Value, v.Value
	case *ast.NullNode:
		out.kind = "nothing"
	case *ast.InfinityNode, *ast.NanNode:
		return nil, fail(line, "%s is not a usable number", n.String())
	case *ast.CommentGroupNode:
		out.kind = "nothing"
	default:
		return nil, fail(line, "%s are not used in pipeline files", strings.ToLower(n.Type().String())+"s")
	}
	return out, nil
}

func addKey(out *node, kv *ast.MappingValueNode, seen map[string]int, depth int, fail func(int, string, ...any) error) error {
	line := kv.Key.GetToken().Position.Line
	switch kv.Key.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
	default:
		return fail(line, "a key is a plain word")
	}
	name := kv.Key.GetToken().Value
	if first, dup := seen[name]; dup {
		return fail(line, "%q stands here for the second time (first on line %d)", name, first)
	}
	seen[name] = line
	c, err := convert(kv.Value, depth+1, fail)
	if err != nil {
		return err
	}
	if c.kind == "nothing" || c.line == 0 {
		c.line = line
	}
	out.keys = append(out.keys, key{name: name, line: line, value: c})
	return nil
}

// Nearest returns the name closest to word, or "" when none is near enough to be
// what was meant.
func Nearest(word string, names []string) string {
	best, limit := "", max(2, len(word)/3)+1
	for _, n := range names {
		if d := editDistance(strings.ToLower(word), strings.ToLower(n)); d < limit {
			best, limit = n, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, substitutions and swaps of neighbours
// (optimal string alignment), in bytes.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func didYouMean(word string, names []string) string {
	if n := Nearest(word, names); n != "" {
		return fmt.Sprintf("; did you mean %q?", n)
	}
	return "; known are " + strings.Join(names, ", ")
}
