package lsl

import (
	"errors"
	"math"
	"sort"
	"strconv"
	"strings"
)

// document is an info document as XPath sees it: nodes in document order, node 0
// the document itself, node 1 the root element.
type document struct {
	nodes []docNode
}

type docNode struct {
	name         string // "" for the document and for text
	text         string // of a text node
	parent       int32
	last         int32 // the last node below this one
	next         int32 // next sibling; 0 = none
	first        int32 // first child; 0 = none
	isText, elem bool
}

func newDocument(root *Element) *document {
	d := &document{nodes: make([]docNode, 1, 64)}
	d.nodes[0].first = 1
	d.add(root, 0)
	d.nodes[0].last = int32(len(d.nodes) - 1)
	return d
}

func (d *document) add(e *Element, parent int32) int32 {
	at := int32(len(d.nodes))
	d.nodes = append(d.nodes, docNode{name: e.Name, parent: parent, elem: true})
	prev := int32(0)
	link := func(c int32) {
		if prev == 0 {
			d.nodes[at].first = c
		} else {
			d.nodes[prev].next = c
		}
		prev = c
	}
	if e.Text != "" {
		c := int32(len(d.nodes))
		d.nodes = append(d.nodes, docNode{text: e.Text, parent: at, isText: true, last: c})
		link(c)
	}
	for _, x := range e.Children {
		link(d.add(x, at))
	}
	d.nodes[at].last = int32(len(d.nodes) - 1)
	return at
}

// text is the string value of a node: all text below it.
func (d *document) text(n int32) string {
	first, count := "", 0
	for i := n; i <= d.nodes[n].last; i++ {
		if d.nodes[i].isText {
			if count++; count == 1 {
				first = d.nodes[i].text
			}
		}
	}
	if count < 2 {
		return first
	}
	var b strings.Builder
	for i := n; i <= d.nodes[n].last; i++ {
		b.WriteString(d.nodes[i].text)
	}
	return b.String()
}

// value is the result of an expression.
type value struct {
	typ  valueType
	set  []int32 // in document order, each once
	num  float64
	str  string
	bool bool
}

func (d *document) boolean(v value) bool {
	switch v.typ {
	case typeSet:
		return len(v.set) > 0
	case typeNumber:
		return v.num != 0 && !math.IsNaN(v.num)
	case typeString:
		return v.str != ""
	}
	return v.bool
}

func (d *document) number(v value) float64 {
	switch v.typ {
	case typeNumber:
		return v.num
	case typeBool:
		if v.bool {
			return 1
		}
		return 0
	}
	return numberOf(d.string(v))
}

// numberOf reads a number as XPath does: no exponent, no plus sign.
func numberOf(s string) float64 {
	s = strings.Trim(s, " \t\r\n")
	digits := strings.TrimPrefix(s, "-")
	if strings.Trim(digits, "0123456789.") != "" || strings.Trim(digits, ".") == "" || strings.Count(digits, ".") > 1 {
		return math.NaN()
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

func (d *document) string(v value) string {
	switch v.typ {
	case typeSet:
		if len(v.set) == 0 {
			return ""
		}
		return d.text(v.set[0])
	case typeNumber:
		switch {
		case math.IsNaN(v.num):
			return "NaN"
		case math.IsInf(v.num, 1):
			return "Infinity"
		case math.IsInf(v.num, -1):
			return "-Infinity"
		case v.num == 0:
			return "0"
		}
		return strconv.FormatFloat(v.num, 'f', -1, 64)
	case typeBool:
		return strconv.FormatBool(v.bool)
	}
	return v.str
}

// evaluation is one run of an expression over a document. The budget bounds the
// work a hostile query can cause.
type evaluation struct {
	*document
	budget int
}

const xpathBudget = 1 << 20 // nodes and bytes touched

var errBudget = errors.New("the query takes too long to evaluate")

type focus struct {
	node           int32
	position, size int
}

// matches reports whether a compiled expression is true of the document.
func (d *document) matches(e *expr) (ok bool, err error) {
	v := evaluation{document: d, budget: xpathBudget}
	defer func() {
		if p := recover(); p != nil {
			if p != errBudget { //nolint:errorlint // the very value thrown by spend
				panic(p)
			}
			ok, err = false, errBudget
		}
	}()
	return d.boolean(v.eval(e, focus{1, 1, 1})), nil
}

func (v *evaluation) spend(n int) {
	if v.budget -= n; v.budget < 0 {
		panic(errBudget)
	}
}

func (v *evaluation) eval(e *expr, f focus) value {
	v.spend(1)
	switch e.op {
	case opOr, opAnd:
		if v.boolean(v.eval(e.args[0], f)) == (e.op == opOr) {
			return value{typ: typeBool, bool: e.op == opOr}
		}
		return value{typ: typeBool, bool: v.boolean(v.eval(e.args[1], f))}
	case opEqual, opUnequal, opLess, opLessEqual, opGreater, opGreaterEqual:
		return value{typ: typeBool, bool: v.compare(e.op, v.eval(e.args[0], f), v.eval(e.args[1], f))}
	case opAdd, opSubtract, opMultiply, opDivide, opModulo:
		a, b := v.number(v.eval(e.args[0], f)), v.number(v.eval(e.args[1], f))
		switch e.op {
		case opAdd:
			a += b
		case opSubtract:
			a -= b
		case opMultiply:
			a *= b
		case opDivide:
			a /= b
		case opModulo:
			a = math.Mod(a, b)
		}
		return value{typ: typeNumber, num: a}
	case opNegate:
		return value{typ: typeNumber, num: -v.number(v.eval(e.args[0], f))}
	case opUnion:
		a, b := v.eval(e.args[0], f), v.eval(e.args[1], f)
		return value{typ: typeSet, set: v.ordered(append(append([]int32(nil), a.set...), b.set...))}
	case opLiteral:
		return value{typ: typeString, str: e.text}
	case opNumber:
		return value{typ: typeNumber, num: e.num}
	case opCall:
		args := make([]value, len(e.args))
		for i, a := range e.args {
			args[i] = v.eval(a, f)
			v.spend(len(args[i].str))
		}
		out := e.fn.call(v, f, args)
		out.typ = e.fn.result
		return out
	}
	return v.path(e, f)
}

func (v *evaluation) path(e *expr, f focus) value {
	set := []int32{f.node}
	switch {
	case e.absolute:
		set = []int32{0}
	case len(e.args) > 0:
		set = v.eval(e.args[0], f).set
		for _, p := range e.predicates {
			set = v.filter(set, p)
		}
	}
	for i := range e.steps {
		s := &e.steps[i]
		var next []int32
		for _, n := range set {
			found := v.walk(n, s)
			for _, p := range s.predicates {
				found = v.filter(found, p)
			}
			next = append(next, found...)
		}
		set = v.ordered(next)
	}
	return value{typ: typeSet, set: set}
}

func (v *evaluation) ordered(set []int32) []int32 {
	v.spend(len(set))
	sort.Slice(set, func(i, j int) bool { return set[i] < set[j] })
	out := set[:0]
	for i, n := range set {
		if i == 0 || n != set[i-1] {
			out = append(out, n)
		}
	}
	return out
}

func (v *evaluation) filter(set []int32, p *expr) []int32 {
	var out []int32
	for i, n := range set {
		r := v.eval(p, focus{n, i + 1, len(set)})
		if r.typ == typeNumber && r.num == float64(i+1) || r.typ != typeNumber && v.boolean(r) {
			out = append(out, n)
		}
	}
	return out
}

// walk returns the nodes of a step from one node, in the order of its axis.
func (v *evaluation) walk(n int32, s *step) []int32 {
	var out []int32
	nodes := v.nodes
	take := func(i int32) {
		v.spend(1)
		x := &nodes[i]
		switch s.test {
		case testName:
			if !x.elem || x.name != s.name {
				return
			}
		case testAny:
			if !x.elem {
				return
			}
		case testText:
			if !x.isText {
				return
			}
		case testNone:
			return
		}
		out = append(out, i)
	}
	switch s.axis {
	case axisChild:
		for c := nodes[n].first; c != 0; c = nodes[c].next {
			take(c)
		}
	case axisDescendant, axisDescendantOrSelf:
		if s.axis == axisDescendantOrSelf {
			take(n)
		}
		for i := n + 1; i <= nodes[n].last; i++ {
			take(i)
		}
	case axisSelf:
		take(n)
	case axisParent:
		if n != 0 {
			take(nodes[n].parent)
		}
	case axisAncestor, axisAncestorOrSelf:
		if s.axis == axisAncestorOrSelf {
			take(n)
		}
		for i := n; i != 0; {
			i = nodes[i].parent
			take(i)
		}
	case axisFollowing:
		for i := nodes[n].last + 1; i < int32(len(nodes)); i++ {
			take(i)
		}
	case axisFollowingSibling:
		for i := nodes[n].next; i != 0; i = nodes[i].next {
			take(i)
		}
	case axisPreceding:
		for i := n - 1; i > 0; i-- {
			if nodes[i].last < n { // not an ancestor
				take(i)
			}
		}
	case axisPrecedingSibling:
		if n == 0 {
			break
		}
		var before []int32
		for i := nodes[nodes[n].parent].first; i != n && i != 0; i = nodes[i].next {
			before = append(before, i)
		}
		for i := len(before) - 1; i >= 0; i-- {
			take(before[i])
		}
	}
	return out
}

// compare follows XPath 1.0 §3.4: a node-set compares true when one of its nodes
// does; text is compared as text only by = and !=.
func (v *evaluation) compare(op opcode, a, b value) bool {
	if a.typ == typeSet && b.typ == typeSet {
		for _, n := range a.set {
			if v.compare(op, value{typ: typeString, str: v.text(n)}, b) {
				return true
			}
		}
		return false
	}
	if b.typ == typeSet && b.typ != a.typ {
		if a.typ == typeBool {
			return v.compare(op, a, value{typ: typeBool, bool: len(b.set) > 0})
		}
		for _, n := range b.set {
			v.spend(1)
			if v.compare(op, a, value{typ: typeString, str: v.text(n)}) {
				return true
			}
		}
		return false
	}
	if a.typ == typeSet {
		if b.typ == typeBool {
			return v.compare(op, value{typ: typeBool, bool: len(a.set) > 0}, b)
		}
		for _, n := range a.set {
			v.spend(1)
			if v.compare(op, value{typ: typeString, str: v.text(n)}, b) {
				return true
			}
		}
		return false
	}
	if op == opEqual || op == opUnequal {
		var same bool
		switch {
		case a.typ == typeBool || b.typ == typeBool:
			same = v.boolean(a) == v.boolean(b)
		case a.typ == typeNumber || b.typ == typeNumber:
			same = v.number(a) == v.number(b)
		default:
			same = a.str == b.str
		}
		return same == (op == opEqual)
	}
	x, y := v.number(a), v.number(b)
	switch op {
	case opLess:
		return x < y
	case opLessEqual:
		return x <= y
	case opGreater:
		return x > y
	}
	return x >= y
}

// Matches reports whether an info document satisfies an XPath expression; the
// error says why an expression cannot be evaluated.
func (i *Info) Matches(expression string) (bool, error) {
	e, err := compileXPath(expression)
	if strings.TrimSpace(expression) == "" {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	root, err := parseXML(i.AppendXML(nil, true))
	if err != nil {
		return false, err
	}
	return newDocument(root).matches(e)
}
