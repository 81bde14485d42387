package shelf

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A set is fetched once, where fetching is allowed, and again after a fetch that failed or was cut short.
func TestSetIsWholeOrFetchedAgain(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	fail := true
	set := Set{Name: "things", List: []byte("one thing"), Tools: []string{"cp", "false"}, Fetch: func(dir, list string) [][]string {
		commands := [][]string{{"cp", list, filepath.Join(dir, "thing")}}
		if fail {
			commands = append(commands, []string{"false"})
		}
		return commands
	}}
	var missing *Missing
	if _, err := set.Get(t.Context(), false); !errors.As(err, &missing) {
		t.Fatalf("not allowed to fetch: %v", err)
	}
	if _, err := set.Get(t.Context(), true); !errors.As(err, &missing) || set.Have() {
		t.Fatalf("a fetch that fails: %v, there: %v", err, set.Have())
	}
	dir, err := set.dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "rest"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fail = false
	for _, install := range []bool{true, false} { // the second time it is there
		got, err := set.Get(t.Context(), install)
		if err != nil || got != dir || !set.Have() {
			t.Fatalf("got %q, %v", got, err)
		}
		if text, err := os.ReadFile(filepath.Join(got, "thing")); err != nil || string(text) != "one thing" {
			t.Fatalf("fetched %q, %v", text, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "rest")); err == nil {
		t.Error("what a failed fetch left behind is still there")
	}
	other := set
	other.List = []byte("another thing")
	if other.Have() {
		t.Error("another list is there as well")
	}
	other.Tools = []string{"no such tool"}
	if _, err := other.Get(t.Context(), true); !errors.As(err, &missing) {
		t.Errorf("without its tool: %v", err)
	}
}
