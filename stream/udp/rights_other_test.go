//go:build !linux

package udp

import "errors"

func withoutRights(func() error) error { return errors.ErrUnsupported }
