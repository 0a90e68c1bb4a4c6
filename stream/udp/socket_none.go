//go:build !unix && !windows

package udp

func setReuse(uintptr) error { return nil }

func setBroadcast(uintptr) error { return nil }

func setBuffer(uintptr, int) error { return nil }
