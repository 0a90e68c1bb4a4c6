package lsl

import (
	"math"
	"strings"
	"unicode/utf8"
)

// function is an entry of XPath 1.0's core library (§4), without id and lang,
// which need attributes.
type function struct {
	least, most int // number of arguments; most < 0 = any
	result      valueType
	set         bool // arguments must be node-sets
	call        func(v *evaluation, f focus, a []value) value
}

func number(n float64) value { return value{num: n} }
func text(s string) value    { return value{str: s} }
func truth(b bool) value     { return value{bool: b} }

// subject is the first argument as text, or the context node's.
func subject(v *evaluation, f focus, a []value) string {
	if len(a) > 0 {
		return v.string(a[0])
	}
	return v.text(f.node)
}

func nameOf(v *evaluation, f focus, a []value) value {
	n := f.node
	if len(a) > 0 {
		if len(a[0].set) == 0 {
			return text("")
		}
		n = a[0].set[0]
	}
	return text(v.nodes[n].name)
}

var functions = map[string]*function{
	"last":          {0, 0, typeNumber, false, func(_ *evaluation, f focus, _ []value) value { return number(float64(f.size)) }},
	"position":      {0, 0, typeNumber, false, func(_ *evaluation, f focus, _ []value) value { return number(float64(f.position)) }},
	"count":         {1, 1, typeNumber, true, func(_ *evaluation, _ focus, a []value) value { return number(float64(len(a[0].set))) }},
	"local-name":    {0, 1, typeString, true, nameOf},
	"name":          {0, 1, typeString, true, nameOf},
	"namespace-uri": {0, 1, typeString, true, func(*evaluation, focus, []value) value { return text("") }},
	"string":        {0, 1, typeString, false, func(v *evaluation, f focus, a []value) value { return text(subject(v, f, a)) }},
	"concat": {2, -1, typeString, false, func(v *evaluation, _ focus, a []value) value {
		var b strings.Builder
		for _, x := range a {
			s := v.string(x)
			v.spend(len(s))
			b.WriteString(s)
		}
		return text(b.String())
	}},
	"starts-with": {2, 2, typeBool, false, func(v *evaluation, _ focus, a []value) value {
		return truth(strings.HasPrefix(v.string(a[0]), v.string(a[1])))
	}},
	"contains": {2, 2, typeBool, false, func(v *evaluation, _ focus, a []value) value {
		return truth(strings.Contains(v.string(a[0]), v.string(a[1])))
	}},
	"substring-before": {2, 2, typeString, false, func(v *evaluation, _ focus, a []value) value {
		before, _, ok := strings.Cut(v.string(a[0]), v.string(a[1]))
		if !ok {
			before = ""
		}
		return text(before)
	}},
	"substring-after": {2, 2, typeString, false, func(v *evaluation, _ focus, a []value) value {
		_, after, _ := strings.Cut(v.string(a[0]), v.string(a[1]))
		return text(after)
	}},
	"substring": {2, 3, typeString, false, substring},
	"string-length": {0, 1, typeNumber, false, func(v *evaluation, f focus, a []value) value {
		return number(float64(utf8.RuneCountInString(subject(v, f, a))))
	}},
	"normalize-space": {0, 1, typeString, false, func(v *evaluation, f focus, a []value) value {
		return text(strings.Join(strings.FieldsFunc(subject(v, f, a), func(r rune) bool {
			return r == ' ' || r == '\t' || r == '\r' || r == '\n'
		}), " "))
	}},
	"translate": {3, 3, typeString, false, translate},
	"boolean":   {1, 1, typeBool, false, func(v *evaluation, _ focus, a []value) value { return truth(v.boolean(a[0])) }},
	"not":       {1, 1, typeBool, false, func(v *evaluation, _ focus, a []value) value { return truth(!v.boolean(a[0])) }},
	"true":      {0, 0, typeBool, false, func(*evaluation, focus, []value) value { return truth(true) }},
	"false":     {0, 0, typeBool, false, func(*evaluation, focus, []value) value { return truth(false) }},
	"number": {0, 1, typeNumber, false, func(v *evaluation, f focus, a []value) value {
		if len(a) > 0 {
			return number(v.number(a[0]))
		}
		return number(numberOf(v.text(f.node)))
	}},
	"sum": {1, 1, typeNumber, true, func(v *evaluation, _ focus, a []value) value {
		sum := 0.0
		for _, n := range a[0].set {
			v.spend(1)
			sum += numberOf(v.text(n))
		}
		return number(sum)
	}},
	"floor":   {1, 1, typeNumber, false, func(v *evaluation, _ focus, a []value) value { return number(math.Floor(v.number(a[0]))) }},
	"ceiling": {1, 1, typeNumber, false, func(v *evaluation, _ focus, a []value) value { return number(math.Ceil(v.number(a[0]))) }},
	"round":   {1, 1, typeNumber, false, func(v *evaluation, _ focus, a []value) value { return number(math.Floor(v.number(a[0]) + 0.5)) }},
}

// substring counts characters from 1 and rounds its bounds; a comparison with NaN
// keeps nothing.
func substring(v *evaluation, _ focus, a []value) value {
	from := math.Floor(v.number(a[1]) + 0.5)
	to := math.Inf(1)
	if len(a) > 2 {
		to = from + math.Floor(v.number(a[2])+0.5)
	}
	var b strings.Builder
	i := 0.0
	for _, r := range v.string(a[0]) {
		if i++; i >= from && i < to {
			b.WriteRune(r)
		}
	}
	return text(b.String())
}

func translate(v *evaluation, _ focus, a []value) value {
	from, to := []rune(v.string(a[1])), []rune(v.string(a[2]))
	table := make(map[rune]rune, len(from))
	for i, r := range from {
		if _, seen := table[r]; seen {
			continue
		}
		table[r] = -1
		if i < len(to) {
			table[r] = to[i]
		}
	}
	return text(strings.Map(func(r rune) rune {
		if x, ok := table[r]; ok {
			return x
		}
		return r
	}, v.string(a[0])))
}
