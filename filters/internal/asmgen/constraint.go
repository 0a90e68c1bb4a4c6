package main

import "github.com/mmcloughlin/avo/buildtags"

// mustConstraint keeps the assembly out of builds with the tag purego.
func mustConstraint() buildtags.ConstraintConvertable {
	c, err := buildtags.ParseConstraint("!purego")
	if err != nil {
		panic(err)
	}
	return c
}
