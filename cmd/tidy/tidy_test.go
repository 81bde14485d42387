package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"
)

// tree makes a module of files; every package gets a comment unless the text brings one.
func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func findings(t *testing.T, allow string, files map[string]string) []string {
	t.Helper()
	parsed, err := load(tree(files))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, v := range check(parsed, allow) {
		list = append(list, v.String())
	}
	return list
}

const doc = "// Package x does one thing.\n"

func TestEachRuleFindsItsPlantedViolation(t *testing.T) {
	long := "func f() {\n" + strings.Repeat("\t_ = 0\n", lengthMax-1) + "}\n"
	for _, c := range []struct {
		name, path, text string
		want             string // path:line: rule, or empty for nothing
	}{
		{"engine imports net", "engine/a/a.go", doc + "package a\nimport _ \"pinion/net/listen\"\n", "engine/a/a.go:3: floors"},
		{"disk imports engine", "disk/a/a.go", doc + "package a\nimport _ \"pinion/engine/config\"\n", "disk/a/a.go:3: floors"},
		{"disk imports raft", "disk/a/a.go", doc + "package a\nimport _ \"pinion/raft\"\n", "disk/a/a.go:3: floors"},
		{"raft imports disk", "raft/a.go", doc + "package raft\nimport _ \"pinion/disk/entries\"\n", "raft/a.go:3: floors"},
		{"net imports cmd", "net/a/a.go", doc + "package a\nimport _ \"pinion/cmd/pinion\"\n", "net/a/a.go:3: floors"},
		{"cellar imports a module", "engine/model/a.go", doc + "package model\nimport _ \"golang.org/x/sys/unix\"\n", "engine/model/a.go:3: floors"},
		{"cellar imports cellar", "engine/must/a.go", doc + "package must\nimport _ \"pinion/engine/model\"\n", "engine/must/a.go:3: floors"},
		{"unknown room", "engine/a/a.go", doc + "package a\nimport _ \"pinion/lib/x\"\n", "engine/a/a.go:3: floors"},
		{"test of a lower floor", "disk/a/a_test.go", "package a\nimport _ \"pinion/engine/shard\"\n", "disk/a/a_test.go:2: floors"},
		{"disk imports disk and cellar", "disk/a/a.go", doc + "package a\nimport (\n_ \"pinion/disk/batch\"\n_ \"pinion/engine/model\"\n)\n", ""},
		{"net imports all below", "net/a/a.go", doc + "package a\nimport (\n_ \"pinion/disk/batch\"\n_ \"pinion/engine/shard\"\n_ \"net\"\n)\n", ""},

		{"file at the root", "a.go", doc + "package a\n", "a.go:2: house"},
		{"file among rooms", "disk/a.go", doc + "package disk\n", "disk/a.go:2: house"},
		{"drawer", "engine/util/a.go", doc + "package util\n", "engine/util/a.go:2: name"},
		{"no comment", "engine/a/a.go", "package a\n", "engine/a/a.go:1: doc"},

		{"goroutine", "engine/a/a.go", doc + "package a\nfunc f() {\n\tgo f()\n}\n", "engine/a/a.go:4: go"},
		{"goroutine in a closure", "net/conn/a.go", doc + "package a\nvar _ = func() { go func() {}() }\n", "net/conn/a.go:3: go"},
		{"goroutine of a shard", "engine/shard/a.go", doc + "package shard\nfunc f() { go f() }\n", ""},
		{"goroutine in a test", "engine/a/a_test.go", "package a\nfunc f() { go f() }\n", ""},

		{"mutex", "engine/a/a.go", doc + "package a\nimport \"sync\"\ntype t struct{ mu sync.Mutex }\n", "engine/a/a.go:4: mutex"},
		{"renamed mutex", "engine/a/a.go", doc + "package a\nimport s \"sync\"\nvar mu s.RWMutex\n", "engine/a/a.go:4: mutex"},
		{"mutex of the admin server", "net/admin/a.go", doc + "package admin\nimport \"sync\"\nvar mu sync.Mutex\n", ""},
		{"once is no lock", "engine/a/a.go", doc + "package a\nimport \"sync\"\nvar o = sync.OnceValue(func() int { return 1 })\n", ""},

		{"clock", "engine/a/a.go", doc + "package a\nimport \"time\"\nvar x = time.Now()\n", "engine/a/a.go:4: clock"},
		{"hidden clock", "disk/a/a.go", doc + "package a\nimport \"time\"\nvar x = time.Since(time.Time{})\n", "disk/a/a.go:4: clock"},
		{"the clock itself", "engine/clock/a.go", doc + "package clock\nimport \"time\"\nvar x = time.Now()\n", ""},
		{"somebody else's Now", "engine/a/a.go", doc + "package a\nvar time struct{ Now int }\nvar x = time.Now\n", ""},

		{"unsafe", "engine/a/a.go", doc + "package a\nimport \"unsafe\"\nvar _ unsafe.Pointer\n", "engine/a/a.go:3: unsafe"},
		{"unsafe that says so", "engine/a/map_unsafe.go", doc + "package a\nimport \"unsafe\"\nvar _ unsafe.Pointer\n", ""},
		{"file called unsafe by chance", "engine/a/notunsafe.go", doc + "package a\nimport \"unsafe\"\nvar _ unsafe.Pointer\n", "engine/a/notunsafe.go:3: unsafe"},

		{"stored turn", "engine/a/a.go", doc + "package a\nimport \"pinion/engine/shard\"\ntype t struct {\n\tn int\n\tturn *shard.Turn\n}\n", "engine/a/a.go:6: turn"},
		{"stored turns", "engine/a/a.go", doc + "package a\nimport \"pinion/engine/shard\"\ntype t struct{ turns map[int][]*shard.Turn }\n", "engine/a/a.go:4: turn"},
		{"turn passed on", "engine/a/a.go", doc + "package a\nimport \"pinion/engine/shard\"\ntype t struct{ f func(*shard.Turn) }\n", ""},

		{"leftover", "engine/a/a.go", doc + "package a\n\n// " + fixme + ": later\nvar x int\n", "engine/a/a.go:4: fixme"},
		{"long function", "engine/a/a.go", doc + "package a\n" + long, "engine/a/a.go:3: length"},
		{"long test", "engine/a/a_test.go", "package a\n" + long, ""},
		{"function at the limit", "engine/a/a.go", doc + "package a\n" + strings.Replace(long, "\t_ = 0\n", "", 1), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := findings(t, "", map[string]string{c.path: c.text})
			if c.want == "" {
				if len(got) > 0 {
					t.Fatalf("found %q, want nothing", got)
				}
				return
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], c.want+": ") {
				t.Fatalf("found %q, want one %q", got, c.want)
			}
		})
	}
}

func TestTwoPackageCommentsAreOneTooMany(t *testing.T) {
	got := findings(t, "", map[string]string{"engine/a/a.go": doc + "package a\n", "engine/a/b.go": doc + "package a\n", "engine/a/a_test.go": doc + "package a\n"})
	if len(got) != 1 || !strings.HasPrefix(got[0], "engine/a/b.go:1: doc: ") {
		t.Fatalf("found %q", got)
	}
}

func TestLengthRatchet(t *testing.T) {
	text := func(lines int) map[string]string {
		return map[string]string{"engine/a/a.go": doc + "package a\nfunc (t *T[int]) f() {\n" + strings.Repeat("\t_ = 0\n", lines-2) + "}\n"}
	}
	for _, c := range []struct {
		name  string
		allow string
		lines int
		want  string
	}{
		{"as long as allowed", "engine/a/a.go T.f 80", 80, ""},
		{"grown", "engine/a/a.go T.f 80", 81, "engine/a/a.go:3: length: T.f has 81 lines, at most 80"},
		{"short again", "engine/a/a.go T.f 80", 70, "cmd/tidy/long.allow:1: length: engine/a/a.go T.f is not too long any more; take it off the list"},
		{"bad line", "# comment\nengine/a/a.go T.f", 10, "cmd/tidy/long.allow:2: length: want path, function and a number of lines above 70"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := strings.Join(findings(t, c.allow, text(c.lines)), "\n")
			if got != c.want {
				t.Fatalf("found %q, want %q", got, c.want)
			}
		})
	}
}

func TestRunPrintsAndFails(t *testing.T) {
	var out, problems bytes.Buffer
	code := run(tree(map[string]string{"engine/a/a.go": "package a\n", "testdata/b.go": "no Go", ".hidden/c.go": "no Go"}), "", &out, &problems)
	if code != 1 || !strings.HasPrefix(out.String(), "engine/a/a.go:1: doc: ") || problems.String() != "1 violations in 1 files\n" {
		t.Fatalf("code %d, out %q, problems %q", code, out.String(), problems.String())
	}
	if code := run(tree(map[string]string{"engine/a/a.go": "package"}), "", &out, &problems); code != 2 {
		t.Fatalf("code %d for a file that does not parse", code)
	}
	if code := run(tree(map[string]string{"engine/a/a.go": doc + "package a\n"}), "", &out, &problems); code != 0 {
		t.Fatalf("code %d for a tidy tree", code)
	}
}
