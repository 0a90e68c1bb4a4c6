//go:build unix

package main

import "golang.org/x/sys/unix"

// diskFree returns the bytes that may still be written to the disk of a folder.
func diskFree(dir string) (uint64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true //nolint:unconvert // the types differ between systems
}
