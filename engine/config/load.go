package config

import (
	"fmt"
	"strings"

	"pinion/engine/must"
)

// Input is everything a configuration is made of, already read by the caller.
type Input struct {
	File string   // name of the .properties file, for messages; empty: no file
	Text []byte   // its content
	Env  []string // NAME=value, as os.Environ gives; only PINION_ and KAFKA_ names count
	Sets []string // key=value, from --set; the last of equal keys wins
}

// Notice is something to tell the administrator that does not stop the start.
type Notice struct {
	Where string // file:line, environment variable or flag; empty: no single place
	Key   string
	Text  string
}

func (n Notice) String() string { return join(n.Where, n.Text) }

// Problem is one mistake.
type Problem struct {
	Where string // file:line, environment variable or flag; empty: no single place
	Key   string
	Text  string
}

func (p Problem) String() string { return join(p.Where, p.Text) }

func join(where, text string) string {
	if where == "" {
		return text
	}
	return where + ": " + text
}

// Problems is every mistake of one configuration, in the order of the file, then environment, then flags.
type Problems []Problem

// Error lists them one a line, without a closing newline.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// Count is "1 error" or "n errors".
func (p Problems) Count() string {
	if len(p) == 1 {
		return "1 error"
	}
	return fmt.Sprintf("%d errors", len(p))
}

// Load makes the configuration of a node. The error, if any, is Problems with every mistake found; the notices are worth
// logging either way.
func Load(in Input) (*Broker, []Notice, error) {
	g := gather(in)
	b := build(g)
	if len(g.problems) > 0 {
		return nil, g.notices, g.problems
	}
	return b, g.notices, nil
}

// Default is the configuration of a node that was told nothing.
func Default() *Broker {
	b, _, err := Load(Input{})
	if err != nil {
		must.Failf("the defaults of keys.table do not load: %v", err)
	}
	return b
}
