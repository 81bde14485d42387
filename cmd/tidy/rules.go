package main

import (
	"go/ast"
	"go/token"
	"path"
	"strconv"
	"strings"
)

// Where the exceptions to the rules below live.
var (
	goFolders    = []string{"engine/shard", "disk/device", "net/admin", "net/listen", "cmd", "bench"}
	mutexFolders = []string{"net/admin", "net/listen", "disk/faulty", "cmd", "bench"}
	clockFolders = []string{"engine/clock", "cmd", "bench"}
)

// drawers are package names that say nothing about what is inside.
var drawers = []string{"util", "utils", "common", "helpers", "misc", "base", "types"}

// checkPackageName refuses drawers.
func checkPackageName(f *file) []violation {
	name := strings.TrimSuffix(f.syntax.Name.Name, "_test")
	for _, drawer := range drawers {
		if name == drawer {
			return []violation{f.at(f.syntax.Name.Pos(), "name", "a package called %s is a drawer: things go in, nothing comes out", name)}
		}
	}
	return nil
}

// checkPackageComments wants exactly one comment per package, so that there is one place to read and to keep true.
func checkPackageComments(files []*file) []violation {
	commented := map[string][]*file{}
	var dirs []*file // the first file of each package
	for _, f := range files {
		if f.test {
			continue
		}
		if _, seen := commented[f.dir]; !seen {
			commented[f.dir] = nil
			dirs = append(dirs, f)
		}
		if f.syntax.Doc != nil && strings.TrimSpace(f.syntax.Doc.Text()) != "" {
			commented[f.dir] = append(commented[f.dir], f)
		}
	}
	var list []violation
	for _, first := range dirs {
		switch with := commented[first.dir]; {
		case len(with) == 0:
			list = append(list, first.at(first.syntax.Package, "doc", "package %s has no comment: say its job, its owner and what it refuses", first.syntax.Name.Name))
		default:
			for _, f := range with[1:] {
				list = append(list, f.at(f.syntax.Doc.Pos(), "doc", "package %s has a comment in %s already", f.syntax.Name.Name, path.Base(with[0].path)))
			}
		}
	}
	return list
}

// checkGo keeps goroutines where their end can be seen.
func checkGo(f *file) []violation {
	if f.test || f.under(goFolders...) {
		return nil
	}
	var list []violation
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		if statement, ok := n.(*ast.GoStmt); ok {
			list = append(list, f.at(statement.Pos(), "go", "goroutines start only in %s; return work for a helper instead", strings.Join(goFolders, ", ")))
		}
		return true
	})
	return list
}

// checkMutex refuses locks where one owner at a time is the rule.
func checkMutex(f *file) []violation {
	if f.test || f.under(mutexFolders...) {
		return nil
	}
	return f.uses("sync", []string{"Mutex", "RWMutex", "Cond"}, "mutex", "state has one owner; what must be shared is mailed, or published as a snapshot")
}

// checkClock refuses hidden inputs: whoever runs a machine hands it the time.
func checkClock(f *file) []violation {
	if f.test || f.under(clockFolders...) {
		return nil
	}
	return f.uses("time", []string{"Now", "Since", "Until"}, "clock", "take a clock.Now as a parameter; the simulator must be able to turn it")
}

// uses finds mentions of names of a package, whatever the file calls that package.
func (f *file) uses(importPath string, names []string, rule, reason string) []violation {
	local := f.importName(importPath)
	if local == "" {
		return nil
	}
	var list []violation
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		selector, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		base, ok := selector.X.(*ast.Ident)
		if !ok || base.Name != local {
			return true
		}
		for _, name := range names {
			if selector.Sel.Name == name {
				list = append(list, f.at(selector.Pos(), rule, "%s.%s: %s", importPath, name, reason))
			}
		}
		return true
	})
	return list
}

// importName is what the file calls an imported package; empty if it does not import it.
func (f *file) importName(importPath string) string {
	for _, spec := range f.syntax.Imports {
		if name, err := strconv.Unquote(spec.Path.Value); err != nil || name != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// checkUnsafe keeps unsafe in files whose name says so.
func checkUnsafe(f *file) []violation {
	name := strings.TrimSuffix(strings.TrimSuffix(path.Base(f.path), ".go"), "_test")
	if strings.HasSuffix(name, "_unsafe") {
		return nil
	}
	var list []violation
	for _, spec := range f.syntax.Imports {
		if spec.Path.Value == `"unsafe"` {
			list = append(list, f.at(spec.Pos(), "unsafe", "unsafe is imported only by files named *_unsafe.go"))
		}
	}
	return list
}

// checkTurn refuses to keep a Turn: it is permission for one pass of the loop, and stored it outlives that pass.
func checkTurn(f *file) []violation {
	local := f.importName(module + "engine/shard")
	if local == "" {
		return nil
	}
	var list []violation
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		structure, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, field := range structure.Fields.List {
			if holdsTurn(field.Type, local) {
				list = append(list, f.at(field.Pos(), "turn", "a Turn is permission for one turn of the loop and is never stored"))
			}
		}
		return true
	})
	return list
}

// holdsTurn looks through pointers, slices, maps and channels, but not into function types: those only pass a Turn on.
func holdsTurn(expression ast.Expr, local string) bool {
	found := false
	ast.Inspect(expression, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncType, *ast.StructType: // an inner struct is visited by itself
			return false
		case *ast.SelectorExpr:
			base, ok := n.X.(*ast.Ident)
			found = found || ok && base.Name == local && n.Sel.Name == "Turn"
		}
		return true
	})
	return found
}

// fixme is spelt in two halves, so that this file does not break its own rule.
const fixme = "FIX" + "ME"

// checkFixme refuses leftovers; a TODO with a condition is the way to leave a note.
func checkFixme(f *file) []violation {
	var list []violation
	for _, group := range f.syntax.Comments {
		for _, comment := range group.List {
			if offset := strings.Index(comment.Text, fixme); offset >= 0 {
				list = append(list, f.at(comment.Pos()+token.Pos(offset), "fixme", "mend it, or write a TODO that says when"))
			}
		}
	}
	return list
}
