// Command tidy checks the house rules: which floor may import which, where goroutines, locks, clocks and unsafe may be, and how long a
// function may get. It reads Go files and owns nothing; it changes nothing either, and knows no exceptions but those written in the
// rules themselves and in long.allow.
//
// It prints file:line: rule: reason for every violation and exits with 1 if there is one.
package main

import (
	_ "embed"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// longAllow lists the functions that are longer than the limit, as path, name and lines. It may only shrink.
//
//go:embed long.allow
var longAllow string

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	os.Exit(run(os.DirFS(root), longAllow, os.Stdout, os.Stderr))
}

func run(tree fs.FS, allow string, out, problems io.Writer) int {
	files, err := load(tree)
	if err != nil {
		fmt.Fprintf(problems, "tidy: %v\n", err)
		return 2
	}
	violations := check(files, allow)
	for _, v := range violations {
		fmt.Fprintln(out, v)
	}
	if len(violations) > 0 {
		fmt.Fprintf(problems, "%d violations in %d files\n", len(violations), len(files))
		return 1
	}
	return 0
}
