//go:build !unix

package main

import "os"

// terminalSize returns the columns and lines of a terminal.
func terminalSize(*os.File) (width, height int) { return 80, 24 }
