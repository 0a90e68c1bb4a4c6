// Package kernel chooses, once at start, which machine code the hot loops run: plain
// Go, or assembly for the vector units that the processor has.
//
//	processor ─┐
//	           ├─► Level() ─► filters, features: portable | avx2 | avx512
//	NEUROSTREAM_KERNELS ─┘
//
// All levels give the same bits: kernels use no fused multiply-add and one fixed order
// of summation. So a level is a matter of speed alone, and forcing one is a matter of
// measuring or of doubt. Building with the tag purego leaves all assembly out.
package kernel

import (
	"fmt"
	"os"
	"strings"
)

// A Set is a family of kernels. A greater one needs more of the processor.
type Set uint8

// The families.
const (
	Portable Set = iota // plain Go, everywhere
	AVX2                // amd64 with AVX2: four float64 at once
	AVX512              // amd64 with AVX-512 F, DQ, BW and VL: eight float64 at once
)

var names = [...]string{"portable", "avx2", "avx512"}

// String returns the name that the environment variable takes.
func (s Set) String() string { return names[s] }

// Variable is the environment variable that forces a level, read once at start.
const Variable = "NEUROSTREAM_KERNELS"

var level, complaint = choose(os.Getenv(Variable), best())

// Level returns the family that kernels of this process use.
func Level() Set { return level }

// Best returns the greatest family this processor and build can run.
func Best() Set { return best() }

// Supported lists the families this processor and build can run, Portable first: what
// tests compare.
func Supported() []Set {
	var out []Set
	for s := Portable; s <= best(); s++ {
		out = append(out, s)
	}
	return out
}

// Complaint says what is wrong with the environment variable, or is nil. The level is
// then the best one that is possible.
func Complaint() error { return complaint }

func choose(wish string, most Set) (Set, error) {
	if wish == "" {
		return most, nil
	}
	for s, n := range names {
		if wish != n {
			continue
		}
		if Set(s) > most {
			return most, fmt.Errorf("%s=%s: this processor or build has no %s; using %s", Variable, wish, wish, most)
		}
		return Set(s), nil
	}
	return most, fmt.Errorf("%s=%s is unknown; give one of %s", Variable, wish, strings.Join(names[:], ", "))
}
