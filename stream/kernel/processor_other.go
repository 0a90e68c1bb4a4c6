//go:build purego || !amd64

package kernel

func best() Set { return Portable }
