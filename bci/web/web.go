// Package web holds the page that package server shows: the one built from the
// TypeScript here when `npm run build` ran before the Go build, otherwise a plain one.
//
//	src/*.ts ── npm ci && npm run build ──► dist/ ──┐
//	                                    fallback/ ──┴─► embedded ─► Files
//
// The Go build needs no Node: dist always exists, and is empty but for a marker file
// until the page is built.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var built embed.FS

//go:embed fallback
var plain embed.FS

// Files returns the page's files, index.html among them, and whether it is the full
// page rather than the plain one that says how to build it.
func Files() (files fs.FS, full bool) {
	if _, err := fs.Stat(built, "dist/index.html"); err == nil {
		return sub(built, "dist"), true
	}
	return sub(plain, "fallback"), false
}

func sub(f fs.FS, folder string) fs.FS {
	s, err := fs.Sub(f, folder)
	if err != nil {
		panic(err) // the folders are literals above
	}
	return s
}
