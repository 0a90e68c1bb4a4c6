package dense

import (
	"math"

	"neurostream/stream/kernel"
)

//go:generate go run -C ../../../stream/kernel/asmgen . -kernels dense -out ../../../decoders/internal/dense/panels_amd64.s -stubs ../../../decoders/internal/dense/panels_amd64.go -pkg dense

// level is the family of kernels in use. All give the same bits.
var level = kernel.Level()

// Vec holds eight rows of a column.
type Vec = [8]float64

// Panels is a matrix for products with a vector and for distances of its rows to one:
// panels of eight rows, column by column, so that eight rows are computed at once and
// no sum runs across them. Rows are added up in the order of [Dot]: the results are
// those of [MulVec] and [Distance2], bit for bit.
//
// Panels are gone through forwards and backwards in turn: what one product leaves in the
// cache is what the next one begins with. They belong to one goroutine.
type Panels struct {
	R, C int
	w    []Vec // ceil(R/8) panels of C columns; rows that are none are zero
	back bool  // the next product begins at the end
}

// Pack copies a matrix.
func Pack(m *M) *Panels { return PackRows(m.R, m.C, m.V) }

// PackRows copies r rows of c values that follow each other.
func PackRows(r, c int, v []float64) *Panels {
	p := &Panels{R: r, C: c, w: make([]Vec, (r+7)/8*c)}
	for i := range r {
		panel := p.w[i/8*c : (i/8+1)*c]
		for j, x := range v[i*c : (i+1)*c] {
			panel[j][i%8] = x
		}
	}
	return p
}

// Share makes panels of tiles that hold them already: ceil(r/8) times c columns.
func Share(r, c int, tiles []Vec) *Panels { return &Panels{R: r, C: c, w: tiles[:(r+7)/8*c]} }

// Padded returns the number of rows rounded up to whole panels: what dst of Products
// and Distances must hold.
func (p *Panels) Padded() int { return (p.R + 7) / 8 * 8 }

// Products sets dst = a x; rows that are none come out as zero.
func (p *Panels) Products(dst, x []float64) {
	x = x[:p.C]
	for done, n := 0, 0; done < p.Padded()/8; done += n {
		at := 0
		at, n = p.piece(done)
		productsAt(level, dst[8*at:8*(at+n)], p.w[at*p.C:(at+n)*p.C], x, p.back)
	}
	p.back = !p.back
}

// piece returns the panels that come after done ones: as many as assembly, which cannot be
// preempted, takes some tens of microseconds for.
func (p *Panels) piece(done int) (at, n int) {
	all := p.Padded() / 8
	n = min(all-done, max(1, 1<<13/max(1, p.C)))
	if p.back {
		return all - done - n, n
	}
	return done, n
}

// AddSelected adds the sum of the columns j named, each times x[j], to dst, one after the
// other: a product with an x that is zero elsewhere.
func (p *Panels) AddSelected(dst, x []float64, columns []int32) {
	x = x[:p.C]
	for _, j := range columns {
		_ = x[j] // the assembly does not check
	}
	for k, n := 0, max(1, 1<<13/max(1, len(columns))); k < p.Padded()/8; k += n {
		end := min(k+n, p.Padded()/8)
		selectedAt(level, dst[8*k:8*end], p.w[k*p.C:end*p.C], x, columns)
	}
}

// Distances sets dst to the squared distances of all rows to x; those of rows that are
// none are that of x to zero.
func (p *Panels) Distances(dst, x []float64) {
	x = x[:p.C]
	for done, n := 0, 0; done < p.Padded()/8; done += n {
		at := 0
		at, n = p.piece(done)
		distancesAt(level, dst[8*at:8*(at+n)], p.w[at*p.C:(at+n)*p.C], x, p.back)
	}
	p.back = !p.back
}

// Nonzero lists which values of x are not zero, in list, and returns their number. The
// list has room for all of them and three more.
func Nonzero(list []int32, x []float64) int { return nonzeroAt(level, list, x) }

func nonzeroAt(level kernel.Set, list []int32, x []float64) (n int) {
	list, from := list[:len(x)+3], 0
	if level != kernel.Portable && len(x) >= 4 {
		from = len(x) / 4 * 4
		n = nonzeroAssembly(list, x[:from])
	}
	for i := from; i < len(x); i++ {
		list[n] = int32(i)
		if math.Float64bits(x[i])<<1 != 0 { // no branch: spikes cannot be foreseen
			n++
		}
	}
	return n
}

// ofFour lists the bits that are set in a mask of four.
var ofFour = func() (t [16][4]int32) {
	for mask := range t {
		n := 0
		for bit := range 4 {
			if mask>>bit&1 != 0 {
				t[mask][n] = int32(bit)
				n++
			}
		}
	}
	return t
}()

// MeanExp sets dst to the mean over columns of exp(s (x - a)²) for the eight rows of
// panel k. terms is workspace of 8 C values.
func (p *Panels) MeanExp(dst *Vec, k int, x []float64, s float64, terms []float64) {
	for j, w := range p.w[k*p.C : (k+1)*p.C] {
		t := (*Vec)(terms[8*j:])
		for l, v := range w {
			d := x[j] - v
			t[l] = float64(d * d)
		}
	}
	Exp(terms[:8*p.C], terms[:8*p.C], s)
	*dst = Vec{}
	for j := range p.C {
		for l, v := range (*Vec)(terms[8*j:]) {
			dst[l] += v
		}
	}
	for l := range dst {
		dst[l] /= float64(p.C)
	}
}

func productsAt(level kernel.Set, dst []float64, w []Vec, x []float64, back bool) {
	if level != kernel.Portable && len(x) > 0 && len(dst) > 0 {
		productsAssembly(level, dst, w, x, back)
		return
	}
	for k := range len(dst) / 8 {
		productsPlain((*Vec)(dst[8*k:]), w[k*len(x):(k+1)*len(x)], x)
	}
}

func distancesAt(level kernel.Set, dst []float64, w []Vec, x []float64, back bool) {
	if level != kernel.Portable && len(x) > 0 && len(dst) > 0 {
		distancesAssembly(level, dst, w, x, back)
		return
	}
	for k := range len(dst) / 8 {
		distancesPlain((*Vec)(dst[8*k:]), w[k*len(x):(k+1)*len(x)], x)
	}
}

func selectedAt(level kernel.Set, dst []float64, w []Vec, x []float64, columns []int32) {
	if len(columns) == 0 || len(dst) == 0 {
		return
	}
	if level != kernel.Portable {
		selectedAssembly(level, dst, w, x, columns)
		return
	}
	for k := range len(dst) / 8 {
		selectedPlain((*Vec)(dst[8*k:]), w[k*len(x):(k+1)*len(x)], x, columns)
	}
}

func selectedPlain(dst *Vec, w []Vec, x []float64, columns []int32) {
	a0, a1, a2, a3, a4, a5, a6, a7 := dst[0], dst[1], dst[2], dst[3], dst[4], dst[5], dst[6], dst[7]
	for _, j := range columns {
		v, c := x[j], &w[j]
		a0 += float64(v * c[0])
		a1 += float64(v * c[1])
		a2 += float64(v * c[2])
		a3 += float64(v * c[3])
		a4 += float64(v * c[4])
		a5 += float64(v * c[5])
		a6 += float64(v * c[6])
		a7 += float64(v * c[7])
	}
	*dst = Vec{a0, a1, a2, a3, a4, a5, a6, a7}
}

func productsPlain(dst *Vec, w []Vec, x []float64) {
	var s [4]Vec
	j := 0
	for ; j+4 <= len(x); j += 4 {
		for i := range s {
			for l, v := range w[j+i] {
				s[i][l] += float64(v * x[j+i])
			}
		}
	}
	for ; j < len(x); j++ {
		for l, v := range w[j] {
			s[0][l] += float64(v * x[j])
		}
	}
	for l := range dst {
		dst[l] = (s[0][l] + s[1][l]) + (s[2][l] + s[3][l])
	}
}

func distancesPlain(dst *Vec, w []Vec, x []float64) {
	var s [4]Vec
	j := 0
	for ; j+4 <= len(x); j += 4 {
		for i := range s {
			for l, v := range w[j+i] {
				d := x[j+i] - v
				s[i][l] += float64(d * d)
			}
		}
	}
	for ; j < len(x); j++ {
		for l, v := range w[j] {
			d := x[j] - v
			s[0][l] += float64(d * d)
		}
	}
	for l := range dst {
		dst[l] = (s[0][l] + s[1][l]) + (s[2][l] + s[3][l])
	}
}

// Exp sets dst = exp(s x) elementwise, s x at most 700, to within 2 units in the last
// place; below -708, and for what is no number, it is 0. Lengths are equal multiples of
// eight; dst may be x.
func Exp(dst, x []float64, s float64) {
	if len(x)%8 != 0 {
		panic("dense: Exp wants whole columns of eight")
	}
	if len(x) == 0 {
		return
	}
	dst = dst[:len(x)]
	c := expConstants
	c[0] = s
	expAt(level, dst, x, &c)
}

func expAt(level kernel.Set, dst, x []float64, c *[20]float64) {
	if level == kernel.Portable {
		expPlain(dst, x, c)
		return
	}
	expAssembly(level, dst, x, c)
}

// expConstants: the scale, the least argument, log2(e), 1.5·2⁵² that rounds to a whole
// number, ln 2 in two parts (Cody and Waite), and 1/13! to 1/0!.
var expConstants = [20]float64{
	1, -708, math.Log2E, 0x1.8p52, 0x1.62e42fee00000p-1, 0x1.a39ef35793c76p-33,
	1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
	1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 1.0 / 2, 1, 1,
}

// expPlain: t = k ln 2 + r with |r| <= ln(2)/2, exp(t) = 2^k × Taylor polynomial of r.
func expPlain(dst, x []float64, c *[20]float64) {
	for i, v := range x {
		t := c[0] * v
		if !(t > c[1]) {
			dst[i] = 0
			continue
		}
		k := float64(c[2]*t) + c[3]
		whole := k - c[3]
		t -= float64(c[4] * whole)
		t -= float64(c[5] * whole)
		p := c[6]
		for _, a := range c[7:] {
			p = float64(p*t) + a
		}
		dst[i] = math.Float64frombits(math.Float64bits(p) + math.Float64bits(k)<<52)
	}
}

// Tanh replaces every x by its hyperbolic tangent, to within 5e-16. The length is a
// multiple of eight.
func Tanh(x []float64) { tanhAt(level, x) }

func tanhAt(level kernel.Set, x []float64) {
	for i, v := range x {
		if v > 20 { // tanh is 1 there
			x[i] = 20
		}
	}
	c := expConstants
	c[0] = 2
	expAt(level, x, x, &c)
	if level == kernel.Portable {
		for i, e := range x {
			x[i] = 1 - 2/(e+1)
		}
		return
	}
	squashAssembly(level, x)
}

// Condition sets dst = (x - mean)/scale within ±limit and reports whether every x is a
// number; otherwise dst is undefined. All have the same length.
func Condition(dst, x, mean, scale []float64, limit float64) bool {
	return conditionAt(level, dst, x, mean, scale, limit)
}

func conditionAt(level kernel.Set, dst, x, mean, scale []float64, limit float64) bool {
	n := len(x)
	dst, mean, scale = dst[:n], mean[:n], scale[:n]
	from := 0
	if level != kernel.Portable && n >= 8 {
		from = n / 8 * 8
		if !conditionAssembly(dst, x[:from], mean, scale, limit) {
			return false
		}
	}
	for i := from; i < n; i++ {
		v := x[i]
		if v-v != 0 {
			return false
		}
		v = (v - mean[i]) / scale[i]
		if v > limit {
			v = limit
		} else if v < -limit {
			v = -limit
		}
		dst[i] = v
	}
	return true
}
