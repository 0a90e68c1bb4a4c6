//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// best asks the processor and, through XCR0, the operating system.
func best() Set {
	switch x := &cpu.X86; {
	case x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512BW && x.HasAVX512VL && x.HasAVX2:
		return AVX512
	case x.HasAVX2:
		return AVX2
	}
	return Portable
}
