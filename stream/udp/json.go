package udp

import (
	"math"
	"strconv"
)

// scanner reads JSON in place: no value is built, nothing allocates.
type scanner struct {
	p  []byte
	at int
}

func (s *scanner) space() {
	for s.at < len(s.p) {
		switch s.p[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// eat skips white space and one byte c, if it is there.
func (s *scanner) eat(c byte) bool {
	s.space()
	if s.at < len(s.p) && s.p[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) peek() byte {
	s.space()
	if s.at < len(s.p) {
		return s.p[s.at]
	}
	return 0
}

// text returns the bytes between the quotes; escapes stay as they are.
func (s *scanner) text() ([]byte, bool) {
	if !s.eat('"') {
		return nil, false
	}
	from := s.at
	for ; s.at < len(s.p); s.at++ {
		switch s.p[s.at] {
		case '"':
			s.at++
			return s.p[from : s.at-1], true
		case '\\':
			s.at++
		}
	}
	return nil, false
}

// number reads a number; NaN, Infinity and null are not finite numbers.
func (s *scanner) number() (float64, bool) {
	s.space()
	v, n := parseNumber(s.p[s.at:])
	if n > 0 {
		s.at += n
		return v, true
	}
	for _, w := range [...]string{"NaN", "nan", "null", "Infinity", "-Infinity", "-NaN", "inf", "-inf"} {
		if len(s.p)-s.at >= len(w) && string(s.p[s.at:s.at+len(w)]) == w {
			s.at += len(w)
			return math.NaN(), true
		}
	}
	return 0, false
}

var tens = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseNumber reads a JSON number from the front of p and returns its length, 0
// when there is none. A leading zero before another digit is no number: it is what
// a decimal comma leaves behind.
func parseNumber(p []byte) (v float64, n int) {
	i, neg := 0, false
	if i < len(p) && p[i] == '-' {
		neg = true
		i++
	}
	var mant uint64
	digits, scale := 0, 0
	exact := true
	first := i
	for ; i < len(p) && p[i]-'0' < 10; i++ {
		mant, exact = add(mant, p[i], exact)
		digits++
	}
	if digits == 0 || digits > 1 && p[first] == '0' {
		return 0, 0
	}
	if i < len(p) && p[i] == '.' {
		i++
		from := i
		for ; i < len(p) && p[i]-'0' < 10; i++ {
			mant, exact = add(mant, p[i], exact)
			scale--
		}
		if i == from {
			return 0, 0
		}
	}
	if i < len(p) && p[i]|0x20 == 'e' {
		j, minus := i+1, false
		if j < len(p) && (p[j] == '-' || p[j] == '+') {
			minus = p[j] == '-'
			j++
		}
		from, e := j, 0
		for ; j < len(p) && p[j]-'0' < 10; j++ {
			e = min(e*10+int(p[j]-'0'), 10000)
		}
		if j == from {
			return 0, 0
		}
		if minus {
			e = -e
		}
		scale += e
		i = j
	}
	// Mantissa and power of ten are exact float64, so that one rounding is right.
	if exact && mant < 1<<53 && scale >= -22 && scale <= 22 {
		v = float64(mant)
		if scale < 0 {
			v /= tens[-scale]
		} else {
			v *= tens[scale]
		}
		if neg {
			v = -v
		}
		return v, i
	}
	if i > 400 {
		return 0, 0
	}
	v, err := strconv.ParseFloat(string(p[:i]), 64)
	if err != nil && !math.IsInf(v, 0) {
		return 0, 0
	}
	return v, i
}

func add(mant uint64, c byte, exact bool) (uint64, bool) {
	if mant > (1<<63)/10 {
		return mant, false
	}
	return mant*10 + uint64(c-'0'), exact
}

// skip passes over any value.
func (s *scanner) skip() bool {
	depth := 0
	for {
		switch c := s.peek(); c {
		case 0:
			return false
		case '"':
			if _, ok := s.text(); !ok {
				return false
			}
		case '[', '{':
			s.at++
			depth++
		case ']', '}':
			s.at++
			depth--
		case ',', ':':
			if depth == 0 {
				return false
			}
			s.at++
			continue
		default:
			from := s.at
			for s.at < len(s.p) && s.p[s.at] > ' ' && s.p[s.at] != ',' && s.p[s.at] != ']' && s.p[s.at] != '}' && s.p[s.at] != ':' {
				s.at++
			}
			if s.at == from {
				return false
			}
		}
		if depth <= 0 {
			return depth == 0
		}
	}
}

// appendFloat writes a number as JSON: the shortest digits that give it back.
func appendFloat(dst []byte, v float64, bits int) []byte {
	if !finite(v) {
		return append(dst, "NaN"...)
	}
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, bits)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, bits)
}
