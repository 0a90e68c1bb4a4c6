package udp

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// Numbers are read with the bits of the standard library.
func TestParseNumberAgreesWithStrconv(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(s string) {
		t.Helper()
		want, err := strconv.ParseFloat(s, 64)
		if err != nil && !math.IsInf(want, 0) {
			t.Fatal(err)
		}
		got, n := parseNumber([]byte(s + ","))
		if n != len(s) || math.Float64bits(got) != math.Float64bits(want) {
			t.Errorf("%s: %v (%d bytes), want %v", s, got, n, want)
		}
	}
	for _, s := range []string{"0", "-0", "0.1", "1e22", "1e23", "9007199254740993", "123456789012345678901234567890", "1e400", "-1e-400", "4.9e-324", "0.000001", "1E+2", "1e-5"} {
		check(s)
	}
	for range 100000 {
		v := math.Float64frombits(r.Uint64())
		if !finite(v) {
			continue
		}
		check(strconv.FormatFloat(v, 'e', -1, 64))
		check(strconv.FormatFloat(r.NormFloat64()*math.Pow(10, float64(r.IntN(12)-4)), 'f', r.IntN(17), 64))
	}
	for _, s := range []string{"", "-", "+1", ".5", "1.", "01", "-012", "1e", "1e+", "0x10", "1_0", "Inf"} {
		if v, n := parseNumber([]byte(s)); n == len(s) && s != "" {
			t.Errorf("%q was read as %v", s, v)
		}
	}
}
