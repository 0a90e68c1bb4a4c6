//go:build !unix

package main

func diskFree(string) (uint64, bool) { return 0, false }
