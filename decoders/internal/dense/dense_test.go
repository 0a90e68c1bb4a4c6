package dense

import (
	"math"
	"math/rand/v2"
	"testing"
)

func random(r *rand.Rand, n, m int) *M {
	a := New(n, m)
	for i := range a.V {
		a.V[i] = r.NormFloat64()
	}
	return a
}

func spd(r *rand.Rand, n int) *M {
	a, s := random(r, n, n), New(n, n)
	MulT(s, a, a)
	for i := range n {
		s.V[i*n+i] += 0.1
	}
	return s
}

func near(t *testing.T, what string, a, b *M, tol float64) {
	t.Helper()
	for i := range a.V {
		if d := math.Abs(a.V[i] - b.V[i]); !(d <= tol*(1+math.Abs(b.V[i]))) {
			t.Fatalf("%s: entry %d is %v, want %v", what, i, a.V[i], b.V[i])
		}
	}
}

// A matrix times its inverse is the identity, by closed form and by factor.
func TestInverse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 6, 17} {
		a := spd(r, n)
		l, inv, p := New(n, n), New(n, n), New(n, n)
		if !SPDInverse(inv, l, a) {
			t.Fatalf("n=%d: not positive definite", n)
		}
		Mul(p, a, inv)
		near(t, "a inverse(a)", p, Identity(n), 1e-9)
		Cholesky(l, a)
		back := New(n, n)
		MulT(back, l, l)
		near(t, "l l'", back, a, 1e-12)
	}
}

func TestNotPositiveDefinite(t *testing.T) {
	for name, v := range map[string][]float64{
		"indefinite": {1, 2, 2, 1}, "singular": {1, 1, 1, 1}, "negative": {-1, 0, 0, -1},
		"zero": {0, 0, 0, 0}, "nan": {math.NaN(), 0, 0, 1}, "inf": {math.Inf(1), 0, 0, 1},
	} {
		a := &M{2, 2, v}
		inv, l := New(2, 2), New(2, 2)
		if SPDInverse(inv, l, a) {
			t.Errorf("%s: closed form accepts it and returns %v", name, inv.V)
		}
		if Cholesky(l, a) {
			t.Errorf("%s: Cholesky accepts it", name)
		}
	}
}

// Eigenvectors are orthonormal and put the matrix together again.
func TestEigen(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, n := range []int{1, 2, 5, 12} {
		a := random(r, n, n)
		Symmetrize(a)
		w, v, back, vv := a.Clone(), New(n, n), New(n, n), New(n, n)
		Eigen(w, v)
		Reassemble(back, v, w)
		near(t, "v w v'", back, a, 1e-12)
		TMul(vv, v, v)
		near(t, "v'v", vv, Identity(n), 1e-12)
	}
}

func TestProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	a, b := random(r, 3, 7), random(r, 7, 4)
	want := New(3, 4)
	for i := range 3 {
		for j := range 4 {
			for k := range 7 {
				want.V[i*4+j] += a.At(i, k) * b.At(k, j)
			}
		}
	}
	at, bt := New(7, 3), New(4, 7)
	for i := range 3 {
		for k := range 7 {
			at.Set(k, i, a.At(i, k))
		}
	}
	for k := range 7 {
		for j := range 4 {
			bt.Set(j, k, b.At(k, j))
		}
	}
	got := New(3, 4)
	Mul(got, a, b)
	near(t, "Mul", got, want, 1e-12)
	MulT(got, a, bt)
	near(t, "MulT", got, want, 1e-12)
	TMul(got, at, b)
	near(t, "TMul", got, want, 1e-12)
	x, y, z := b.Row(0), make([]float64, 7), make([]float64, 4)
	MulVec(y, b, x)
	TMulVec(z, b, y)
	for j := range z {
		s := 0.0
		for k := range 7 {
			s += b.At(k, j) * Dot(b.Row(k), x)
		}
		if math.Abs(s-z[j]) > 1e-12 {
			t.Errorf("TMulVec: %v, want %v", z[j], s)
		}
	}
	p := spd(r, 7)
	s, tmp := New(3, 3), New(3, 7)
	Sandwich(s, a, p, Identity(3), tmp)
	pa, apa := New(7, 3), New(3, 3)
	MulT(pa, p, a)
	Mul(apa, a, pa)
	Add(apa, apa, 1, Identity(3))
	near(t, "Sandwich", s, apa, 1e-12)
}
