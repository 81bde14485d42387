package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// file is one parsed Go file.
type file struct {
	path   string // from the root of the module, with slashes
	dir    string
	test   bool
	set    *token.FileSet
	syntax *ast.File
	text   string
}

// violation is one broken rule.
type violation struct {
	path   string
	line   int
	rule   string
	reason string
}

func (v violation) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", v.path, v.line, v.rule, v.reason)
}

// at makes a violation at a place in the file.
func (f *file) at(pos token.Pos, rule, format string, args ...any) violation {
	return violation{f.path, f.set.Position(pos).Line, rule, fmt.Sprintf(format, args...)}
}

// under reports whether the file lies in one of the folders or below.
func (f *file) under(folders ...string) bool {
	for _, folder := range folders {
		if f.dir == folder || strings.HasPrefix(f.dir, folder+"/") {
			return true
		}
	}
	return false
}

// load parses every Go file of the tree except test data and what the go command itself skips.
func load(tree fs.FS) ([]*file, error) {
	var files []*file
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != "." && (base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		f, err := parse(tree, name)
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

func parse(tree fs.FS, name string) (*file, error) {
	text, err := fs.ReadFile(tree, name)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &file{path: name, dir: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), set: set, syntax: syntax, text: string(text)}, nil
}

// check applies every rule and sorts what they find by place.
func check(files []*file, allow string) []violation {
	var list []violation
	for _, f := range files {
		for _, rule := range fileRules {
			list = append(list, rule(f)...)
		}
	}
	list = append(list, checkPackageComments(files)...)
	list = append(list, checkLength(files, allow)...)
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].path != list[j].path {
			return list[i].path < list[j].path
		}
		return list[i].line < list[j].line
	})
	return list
}

// fileRules are the rules that need one file at a time.
var fileRules = []func(*file) []violation{
	checkHouse, checkFloors, checkPackageName, checkGo, checkMutex, checkClock, checkUnsafe, checkTurn, checkFixme,
}
