//go:build mutant

package mutant

import (
	"os"
	"slices"
)

var active = chosen()

// chosen stops at a name that is not registered: a misspelt mutant would be one that nobody has to catch.
func chosen() string {
	name := os.Getenv(Env)
	if name != "" && !slices.ContainsFunc(All, func(m Mutant) bool { return m.Name == name }) {
		panic(Env + " names no mutant: " + name)
	}
	return name
}

// On reports whether the mutant is the active one.
func On(name string) bool { return active == name }
