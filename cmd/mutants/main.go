// Command mutants shows that tests catch the bugs they are for: for each mutant of engine/mutant it runs the test named there, in a
// build with the tag `mutant`, once as it is, which must pass, and once with the mutant on, which must fail. It owns nothing and
// changes nothing. It exits with 1 when a mutant is not caught.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"pinion/engine/mutant"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run takes the names of mutants, or none for all.
func run(names []string) error {
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	built := map[string]string{}
	clean := map[string]bool{} // tests that pass without a mutant
	caught, total := 0, 0
	for _, m := range mutant.All {
		if len(names) > 0 && !contains(names, m.Name) {
			continue
		}
		total++
		if built[m.Dir] == "" {
			built[m.Dir] = filepath.Join(scratch, strings.ReplaceAll(m.Dir, "/", "-")+".test")
			if out, err := exec.Command("go", "test", "-tags", "mutant", "-c", "-o", built[m.Dir], "./"+m.Dir).CombinedOutput(); err != nil {
				return fmt.Errorf("build the tests of %s: %w\n%s", m.Dir, err, out)
			}
		}
		if key := m.Dir + " " + m.Test; !clean[key] {
			if out, err := test(built[m.Dir], m, ""); err != nil || !strings.Contains(out, "--- PASS: "+m.Test+" ") {
				return fmt.Errorf("%s of %s does not pass without a mutant: %w\n%s", m.Test, m.Dir, err, out)
			}
			clean[key] = true
		}
		out, err := test(built[m.Dir], m, m.Name)
		verdict := "NOT CAUGHT"
		if err != nil && (strings.Contains(out, "--- FAIL: "+m.Test+" ") || strings.Contains(out, "panic: BUG")) {
			verdict = "caught"
			caught++
		}
		fmt.Printf("%-10s  %-22s %s (%s, %s)\n", verdict, m.Name, m.Breaks, m.Dir, m.Test)
	}
	fmt.Printf("%d of %d caught\n", caught, total)
	if caught < total || total == 0 {
		return fmt.Errorf("%d mutants live", total-caught)
	}
	return nil
}

func test(binary string, m mutant.Mutant, active string) (string, error) {
	cmd := exec.Command(binary, "-test.run", "^"+m.Test+"$", "-test.v", "-test.timeout", "10m")
	cmd.Dir = m.Dir
	cmd.Env = append(os.Environ(), mutant.Env+"="+active)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}
