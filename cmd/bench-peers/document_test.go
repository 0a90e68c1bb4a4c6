package main

import "testing"

func TestSectionIsReplacedInPlace(t *testing.T) {
	doc := "# B\n\nhead\n"
	once := withSection(doc, "a", "one\n")
	if once != "# B\n\nhead\n\n<!-- bench-peers a -->\none\n<!-- end of a -->\n" {
		t.Errorf("appended: %q", once)
	}
	both := withSection(once, "b", "two")
	if got := withSection(both, "a", "ONE"); got != "# B\n\nhead\n\n<!-- bench-peers a -->\nONE\n<!-- end of a -->\n\n<!-- bench-peers b -->\ntwo\n<!-- end of b -->\n" {
		t.Errorf("replaced: %q", got)
	}
}

func TestPairsAlternate(t *testing.T) {
	var order string
	p, err := measure(4, func() (float64, error) { order += "o"; return 1, nil }, func() (float64, error) { order += "t"; return float64(len(order)), nil })
	if err != nil || order != "ottoot"+"to" {
		t.Errorf("order %q, %v", order, err)
	}
	if median, low, high := p.ratio(); low > median || median > high || median != quantile(p.theirs, 0.5) {
		t.Errorf("ratio %v %v %v of %v", median, low, high, p)
	}
}
