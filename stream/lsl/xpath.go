package lsl

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Streams are chosen by XPath 1.0 expressions over their info document; the
// context node is <info>. This file holds the grammar, xpath_eval.go the meaning,
// xpath_functions.go the function library.
//
//	expression  or ── and ── = != ── < <= > >= ── + - ── * div mod ── - ── |
//	path        [/ | //] step / step // step ...
//	step        [axis::] test [predicate]...     .   ..   @attribute
//	primary     ( expression )   'literal'   number   function(arguments)
//
// Variables and functions of later versions are errors, and so is what has the
// wrong type (a union of numbers): such a query matches nothing.

var errXPath = errors.New("not an XPath 1.0 expression")

const maxExpression = 4096 // bytes

type valueType uint8

const (
	typeSet valueType = iota
	typeNumber
	typeString
	typeBool
)

type opcode uint8

const (
	opOr opcode = iota
	opAnd
	opEqual
	opUnequal
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opAdd
	opSubtract
	opMultiply
	opDivide
	opModulo
	opNegate
	opUnion
	opLiteral
	opNumber
	opCall
	opPath
)

// expr is a node of the syntax tree.
type expr struct {
	op   opcode
	typ  valueType
	args []*expr // operands; of a path: the expression it starts from, if any
	text string  // literal
	num  float64
	fn   *function

	absolute   bool    // path: starts at the document
	predicates []*expr // filters on args[0] of a path
	steps      []step
}

type step struct {
	axis       axis
	test       nodeTest
	name       string
	predicates []*expr
}

type axis uint8

const (
	axisChild axis = iota
	axisDescendant
	axisDescendantOrSelf
	axisSelf
	axisParent
	axisAncestor
	axisAncestorOrSelf
	axisFollowing
	axisFollowingSibling
	axisPreceding
	axisPrecedingSibling
	axisAttribute
	axisNamespace
)

var axes = map[string]axis{
	"child": axisChild, "descendant": axisDescendant, "descendant-or-self": axisDescendantOrSelf, "self": axisSelf,
	"parent": axisParent, "ancestor": axisAncestor, "ancestor-or-self": axisAncestorOrSelf,
	"following": axisFollowing, "following-sibling": axisFollowingSibling,
	"preceding": axisPreceding, "preceding-sibling": axisPrecedingSibling,
	"attribute": axisAttribute, "namespace": axisNamespace,
}

type nodeTest uint8

const (
	testName nodeTest = iota
	testAny           // *
	testNode          // node()
	testText          // text()
	testNone          // comment(), processing-instruction(): we keep none
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokName
	tokLiteral
	tokNumber
	tokSymbol // one of ( ) [ ] . .. @ , :: / // | + - = != < <= > >= *
	tokOperator
)

type token struct {
	kind tokenKind
	text string
	num  float64
	at   int
}

func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNamePart(c byte) bool { return isNameStart(c) || isDigit(c) || c == '-' || c == '.' }

// lexXPath cuts an expression into tokens. A '*' or a name is an operator where
// only an operator can stand: behind a token that ends an operand.
func lexXPath(s string) ([]token, error) {
	if len(s) > maxExpression {
		return nil, fmt.Errorf("%w: longer than %d bytes", errXPath, maxExpression)
	}
	var out []token
	operand := func() bool { // the previous token ends an operand
		if len(out) == 0 {
			return false
		}
		t := out[len(out)-1]
		switch t.kind {
		case tokOperator:
			return false
		case tokSymbol:
			return t.text == ")" || t.text == "]" || t.text == "." || t.text == ".."
		}
		return true
	}
	for i := 0; i < len(s); {
		c := s[i]
		add := func(kind tokenKind, n int) {
			out = append(out, token{kind: kind, text: s[i : i+n], at: i})
			i += n
		}
		rest := s[i:]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			i++
		case c == '\'' || c == '"':
			j := strings.IndexByte(rest[1:], c)
			if j < 0 {
				return nil, fmt.Errorf("%w: the text at byte %d has no closing quote", errXPath, i)
			}
			out = append(out, token{kind: tokLiteral, text: rest[1 : 1+j], at: i})
			i += j + 2
		case isDigit(c) || c == '.' && len(rest) > 1 && isDigit(rest[1]):
			j := 0
			for j < len(rest) && isDigit(rest[j]) {
				j++
			}
			if j < len(rest) && rest[j] == '.' {
				for j++; j < len(rest) && isDigit(rest[j]); {
					j++
				}
			}
			v, _ := strconv.ParseFloat(rest[:j], 64) // digits: at worst infinite
			out = append(out, token{kind: tokNumber, num: v, at: i})
			i += j
		case isNameStart(c):
			j := 1
			for j < len(rest) && (isNamePart(rest[j]) || rest[j] == ':' && !strings.HasPrefix(rest[j:], "::") && j+1 < len(rest) && isNameStart(rest[j+1])) {
				j++
			}
			kind := tokName
			if operand() {
				switch rest[:j] {
				case "and", "or", "div", "mod":
					kind = tokOperator
				}
			}
			add(kind, j)
		case strings.HasPrefix(rest, "::"), strings.HasPrefix(rest, ".."):
			add(tokSymbol, 2)
		case strings.HasPrefix(rest, "!="), strings.HasPrefix(rest, "<="), strings.HasPrefix(rest, ">="):
			add(tokOperator, 2)
		case strings.HasPrefix(rest, "//"):
			add(tokSymbol, 2)
			out[len(out)-1].kind = tokOperator
		case c == '*' && operand():
			add(tokOperator, 1)
		case strings.IndexByte("()[].@,*", c) >= 0:
			kind := tokSymbol
			if c == '*' { // a name test ends an operand
				kind = tokName
			}
			add(kind, 1)
		case strings.IndexByte("/|+-=<>", c) >= 0:
			add(tokOperator, 1)
		default:
			return nil, fmt.Errorf("%w: %q at byte %d", errXPath, rest[:1], i)
		}
	}
	return append(out, token{kind: tokEnd, at: len(s)}), nil
}

type xpathParser struct {
	tokens []token
	i      int
	depth  int
}

// compileXPath parses an expression.
func compileXPath(s string) (*expr, error) {
	tokens, err := lexXPath(s)
	if err != nil {
		return nil, err
	}
	p := xpathParser{tokens: tokens}
	e, err := p.binary(0)
	if err != nil {
		return nil, err
	}
	if p.peek().kind != tokEnd {
		return nil, p.fail("unexpected")
	}
	return e, nil
}

func (p *xpathParser) peek() token { return p.tokens[p.i] }

func (p *xpathParser) fail(what string) error {
	t := p.peek()
	if t.kind == tokEnd {
		return fmt.Errorf("%w: %s end", errXPath, what)
	}
	return fmt.Errorf("%w: %s %q at byte %d", errXPath, what, t.text, t.at)
}

func (p *xpathParser) accept(text string) bool {
	t := p.peek()
	if (t.kind == tokSymbol || t.kind == tokOperator) && t.text == text {
		p.i++
		return true
	}
	return false
}

// levels lists the binary operators from the loosest to the tightest.
var levels = []map[string]opcode{
	{"or": opOr},
	{"and": opAnd},
	{"=": opEqual, "!=": opUnequal},
	{"<": opLess, "<=": opLessEqual, ">": opGreater, ">=": opGreaterEqual},
	{"+": opAdd, "-": opSubtract},
	{"*": opMultiply, "div": opDivide, "mod": opModulo},
}

func (p *xpathParser) binary(level int) (*expr, error) {
	if level == len(levels) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil {
		t := p.peek()
		op, ok := levels[level][t.text]
		if t.kind != tokOperator || !ok {
			return left, nil
		}
		p.i++
		var right *expr
		if right, err = p.binary(level + 1); err == nil {
			left = &expr{op: op, typ: typeBool, args: []*expr{left, right}}
			if op >= opAdd {
				left.typ = typeNumber
			}
		}
	}
	return nil, err
}

func (p *xpathParser) unary() (*expr, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail("nested too deeply before")
	}
	defer func() { p.depth-- }()
	if p.accept("-") {
		e, err := p.unary()
		if err != nil {
			return nil, err
		}
		return &expr{op: opNegate, typ: typeNumber, args: []*expr{e}}, nil
	}
	left, err := p.path()
	for err == nil && p.accept("|") {
		var right *expr
		if right, err = p.path(); err == nil {
			if left.typ != typeSet || right.typ != typeSet {
				return nil, p.fail("a union joins paths only, before")
			}
			left = &expr{op: opUnion, args: []*expr{left, right}}
		}
	}
	if err != nil {
		return nil, err
	}
	return left, nil
}

// path reads a location path, or a primary expression with predicates and steps.
func (p *xpathParser) path() (*expr, error) {
	t := p.peek()
	e := &expr{op: opPath}
	next := p.tokens[min(p.i+1, len(p.tokens)-1)]
	call := t.kind == tokName && t.text != "*" && next.text == "(" && next.kind == tokSymbol && !isNodeType(t.text)
	switch {
	case p.accept("/"):
		e.absolute = true
		if !p.stepFollows() {
			return e, nil
		}
	case p.accept("//"):
		e.absolute = true
		e.steps = append(e.steps, step{axis: axisDescendantOrSelf, test: testNode})
	case t.kind == tokLiteral, t.kind == tokNumber, call, t.kind == tokSymbol && t.text == "(":
		first, err := p.primary()
		if err != nil {
			return nil, err
		}
		preds, err := p.predicates()
		if err != nil {
			return nil, err
		}
		e.args, e.predicates = []*expr{first}, preds
		more := p.peek().kind == tokOperator && (p.peek().text == "/" || p.peek().text == "//")
		if len(preds) == 0 && !more {
			return first, nil
		}
		if first.typ != typeSet {
			return nil, p.fail("only a path can be followed by")
		}
		if !more {
			return e, nil
		}
		if p.accept("//") {
			e.steps = append(e.steps, step{axis: axisDescendantOrSelf, test: testNode})
		} else {
			p.accept("/")
		}
	}
	for {
		s, err := p.step()
		if err != nil {
			return nil, err
		}
		e.steps = append(e.steps, s)
		if p.accept("//") {
			e.steps = append(e.steps, step{axis: axisDescendantOrSelf, test: testNode})
		} else if !p.accept("/") {
			return e, nil
		}
	}
}

func isNodeType(name string) bool {
	return name == "text" || name == "node" || name == "comment" || name == "processing-instruction"
}

func (p *xpathParser) stepFollows() bool {
	t := p.peek()
	return t.kind == tokName || t.kind == tokSymbol && (t.text == "." || t.text == ".." || t.text == "@")
}

func (p *xpathParser) step() (step, error) {
	switch {
	case p.accept("."):
		return step{axis: axisSelf, test: testNode}, nil
	case p.accept(".."):
		return step{axis: axisParent, test: testNode}, nil
	}
	s := step{}
	if p.accept("@") {
		s.axis = axisAttribute
	} else if t := p.peek(); t.kind == tokName && p.tokens[p.i+1].text == "::" && p.tokens[p.i+1].kind == tokSymbol {
		a, ok := axes[t.text]
		if !ok {
			return s, p.fail("unknown axis")
		}
		s.axis = a
		p.i += 2
	}
	t := p.peek()
	if t.kind != tokName {
		return s, p.fail("a name is missing before")
	}
	p.i++
	switch {
	case t.text == "*":
		s.test = testAny
	case isNodeType(t.text) && p.accept("("):
		switch t.text {
		case "node":
			s.test = testNode
		case "text":
			s.test = testText
		default:
			s.test = testNone
			if t.text == "processing-instruction" && p.peek().kind == tokLiteral {
				p.i++
			}
		}
		if !p.accept(")") {
			return s, p.fail("a ) is missing before")
		}
	default:
		s.name = t.text
	}
	var err error
	s.predicates, err = p.predicates()
	return s, err
}

func (p *xpathParser) predicates() ([]*expr, error) {
	var out []*expr
	for p.accept("[") {
		e, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		if !p.accept("]") {
			return nil, p.fail("a ] is missing before")
		}
		out = append(out, e)
	}
	return out, nil
}

func (p *xpathParser) primary() (*expr, error) {
	t := p.peek()
	p.i++
	switch t.kind {
	case tokLiteral:
		return &expr{op: opLiteral, typ: typeString, text: t.text}, nil
	case tokNumber:
		return &expr{op: opNumber, typ: typeNumber, num: t.num}, nil
	case tokSymbol: // "("
		e, err := p.binary(0)
		if err == nil && !p.accept(")") {
			err = p.fail("a ) is missing before")
		}
		return e, err
	}
	fn, ok := functions[t.text]
	if !ok {
		return nil, fmt.Errorf("%w: unknown function %q at byte %d", errXPath, t.text, t.at)
	}
	p.accept("(")
	e := &expr{op: opCall, typ: fn.result, fn: fn, text: t.text}
	for !p.accept(")") {
		if len(e.args) > 0 && !p.accept(",") {
			return nil, p.fail("a , or ) is missing before")
		}
		a, err := p.binary(0)
		if err != nil {
			return nil, err
		}
		if fn.set && a.typ != typeSet {
			return nil, p.fail(t.text + " needs a path before")
		}
		e.args = append(e.args, a)
	}
	most := fn.most
	if most < 0 {
		most = math.MaxInt
	}
	if len(e.args) < fn.least || len(e.args) > most {
		return nil, fmt.Errorf("%w: %s given %d arguments", errXPath, t.text, len(e.args))
	}
	return e, nil
}
