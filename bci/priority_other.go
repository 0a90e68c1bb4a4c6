//go:build !linux

package bci

import "runtime"

// GoLast keeps this process to one processor at a time: for one that only records, beside
// one that decides. On Linux it also has other processes served first.
func GoLast() { runtime.GOMAXPROCS(1) }
