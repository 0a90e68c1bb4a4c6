package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"neurostream/bci"
)

// What the documents show must be true: pipelines parse, commands and flags exist,
// make targets exist, linked files are there.
func TestDocuments(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "BENCHMARKS.md", "decoders/README.md"} {
		b, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Error(err)
			continue
		}
		text := string(b)
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
			if _, err := bci.ParsePipeline(name, []byte(block[1])); err != nil {
				t.Errorf("%s shows a pipeline that does not parse: %v\n%s", name, err, block[1])
			}
		}
		for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(text, -1) {
			if strings.Contains(link[1], "://") {
				continue
			}
			if _, err := os.Stat("../../" + link[1]); err != nil {
				t.Errorf("%s links to %s: %v", name, link[1], err)
			}
		}
		for _, m := range regexp.MustCompile("(?m)(?:^|`)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s names make %s, which is no target", name, m[1])
			}
		}
		for _, line := range regexp.MustCompile("(?m)(?:^|`)(bci [a-z][^\n`|]*)").FindAllStringSubmatch(text, -1) {
			checkCommand(t, name, strings.Fields(line[1])[1:])
		}
	}
}

func checkCommand(t *testing.T, where string, words []string) {
	t.Helper()
	c, rest, err := newRoot().Find(words)
	if err != nil || c.Name() == "bci" {
		t.Errorf("%s shows bci %s: there is no such command", where, strings.Join(words, " "))
		return
	}
	for _, w := range rest {
		flag, isFlag := strings.CutPrefix(w, "--")
		if !isFlag {
			continue
		}
		flag, _, _ = strings.Cut(flag, "=")
		if c.Flags().Lookup(flag) == nil && c.InheritedFlags().Lookup(flag) == nil && flag != "help" {
			t.Errorf("%s shows bci %s with --%s, which it does not know", where, c.Name(), flag)
		}
	}
}

// Every command says what it is for, at length, and shows an example.
func TestEveryCommandHasAnExample(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, s := range c.Commands() {
			if s.Name() == "help" || s.Name() == "completion" || !s.IsAvailableCommand() {
				continue
			}
			if s.Short == "" || s.Example == "" {
				t.Errorf("%s has no summary or no example", s.CommandPath())
			}
			visit(s)
		}
	}
	visit(newRoot())
}
