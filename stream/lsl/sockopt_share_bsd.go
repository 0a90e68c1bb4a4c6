//go:build unix && !linux

package lsl

// The BSDs share a UDP port only with SO_REUSEPORT.
const sharePort = true
