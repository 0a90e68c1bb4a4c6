// Command asmgen writes the assembly of the hot loops. It lives in a module of its
// own, so that nobody who builds the project needs the generator.
//
//	go run . -kernels cascades -out cascade_amd64.s -stubs cascade_amd64.go -pkg biquad
//
// One description of the arithmetic serves both vector widths. There is no fused
// multiply-add anywhere, and every sum has the order of the portable code: the results
// equal it bit for bit.
package main

import (
	"flag"
	"log"

	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/buildtags"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	which := flag.String("kernels", "", "cascades, convolutions, dense, fft or features")
	flag.Parse()
	family, ok := map[string]func(){"cascades": cascades, "convolutions": convolutions, "dense": panels, "fft": transforms, "features": sums}[*which]
	if !ok {
		log.Fatalf("-kernels %q: known are cascades, convolutions, dense, fft and features", *which)
	}
	c, err := buildtags.ParseConstraint("!purego")
	if err != nil {
		log.Fatal(err)
	}
	Constraint(c)
	family()
	Generate()
}

// width is a vector width: a column of eight lanes is one or two registers.
type width struct {
	name  string
	vec   func() reg.VecVirtual
	parts int // registers of a column
	bytes int // of a register
}

var widths = []width{{"AVX2", YMM, 2, 32}, {"AVX512", ZMM, 1, 64}}

// begin opens a function of this width. Its arguments do not escape.
func (w width) begin(name, signature, doc string) {
	TEXT(name+w.name, NOSPLIT, signature)
	Pragma("noescape")
	Doc(name + w.name + " " + doc)
}

// end closes it.
func (w width) end() {
	VZEROUPPER()
	RET()
}

// param loads an argument.
func param(name string) reg.GPVirtual {
	r := GP64()
	Load(Param(name), r)
	return r
}

// load returns a register with the part of the column at m.
func (w width) load(m Mem) reg.VecVirtual {
	v := w.vec()
	VMOVUPD(m, v)
	return v
}

// spread returns a register with the number at m in every lane.
func (w width) spread(m Mem) reg.VecVirtual {
	v := w.vec()
	VBROADCASTSD(m, v)
	return v
}

// zero returns an empty register.
func (w width) zero() reg.VecVirtual {
	v := w.vec()
	x := v.AsX()
	VXORPD(x, x, x) // clears the whole register
	return v
}

func (w width) add(a, b Op) reg.VecVirtual { v := w.vec(); VADDPD(b, a, v); return v }
func (w width) sub(a, b Op) reg.VecVirtual { v := w.vec(); VSUBPD(b, a, v); return v }
func (w width) mul(a, b Op) reg.VecVirtual { v := w.vec(); VMULPD(b, a, v); return v }

// times returns the complex product (xr + i xi)(yr + i yi).
func (w width) times(xr, xi, yr, yi Op) (re, im reg.VecVirtual) {
	re, im = w.mul(xr, yr), w.mul(xr, yi)
	t := w.mul(xi, yi)
	VSUBPD(t, re, re)
	t = w.mul(xi, yr)
	VADDPD(t, im, im)
	return re, im
}

// repeat emits body n times, n > 0 or not.
func repeat(label string, n reg.GPVirtual, body func()) {
	Label(label)
	TESTQ(n, n)
	JZ(LabelRef(label + "done"))
	body()
	DECQ(n)
	JMP(LabelRef(label))
	Label(label + "done")
}
