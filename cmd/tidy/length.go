package main

import (
	"go/ast"
	"strconv"
	"strings"
)

// lengthMax is how many lines a function may have, from func to its closing brace. Tests are free.
const lengthMax = 70

// allowance is one line of long.allow.
type allowance struct {
	lines int
	line  int // in long.allow
	used  bool
}

// checkLength is a ratchet: a function on the list may shrink but not grow, and leaves the list when it is short enough.
func checkLength(files []*file, allow string) []violation {
	var list []violation
	allowed := map[string]*allowance{}
	for i, line := range strings.Split(allow, "\n") {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		lines := 0
		if len(fields) == 3 {
			lines, _ = strconv.Atoi(fields[2])
		}
		if lines <= lengthMax {
			list = append(list, violation{"cmd/tidy/long.allow", i + 1, "length", "want path, function and a number of lines above " + strconv.Itoa(lengthMax)})
			continue
		}
		allowed[fields[0]+" "+fields[1]] = &allowance{lines: lines, line: i + 1}
	}
	for _, f := range files {
		if f.test {
			continue
		}
		for _, declaration := range f.syntax.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok {
				list = append(list, f.checkFunction(function, allowed)...)
			}
		}
	}
	for key, a := range allowed {
		if !a.used {
			list = append(list, violation{"cmd/tidy/long.allow", a.line, "length", key + " is not too long any more; take it off the list"})
		}
	}
	return list
}

func (f *file) checkFunction(function *ast.FuncDecl, allowed map[string]*allowance) []violation {
	lines := f.set.Position(function.End()).Line - f.set.Position(function.Pos()).Line + 1
	limit := lengthMax
	if lines > lengthMax {
		if a := allowed[f.path+" "+functionName(function)]; a != nil {
			a.used, limit = true, a.lines
		}
	}
	if lines <= limit {
		return nil
	}
	return []violation{f.at(function.Pos(), "length", "%s has %d lines, at most %d", functionName(function), lines, limit)}
}

// functionName is Type.Method or the bare name.
func functionName(function *ast.FuncDecl) string {
	if function.Recv == nil || len(function.Recv.List) == 0 {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	switch generic := receiver.(type) {
	case *ast.IndexExpr:
		receiver = generic.X
	case *ast.IndexListExpr:
		receiver = generic.X
	}
	if name, ok := receiver.(*ast.Ident); ok {
		return name.Name + "." + function.Name.Name
	}
	return function.Name.Name
}
