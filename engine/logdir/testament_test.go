package logdir

import (
	"errors"
	"strings"
	"testing"
)

// TestTestament: what a fenced directory has left is told, and gone, when a broker takes the directory again.
func TestTestament(t *testing.T) {
	r := newRig(t)
	l := r.started(r.want("a", "b"))
	newTestament(l.All[1].Dir, 1_700_000_000_000, errors.New("sync\nfailed")).Run()
	if said := Testament(l.All[1].Dir); said != "2023-11-14T22:13:20Z sync failed" {
		t.Errorf("%q", said)
	}
	newTestament(l.All[0].Dir, 0, errors.New(strings.Repeat("x", 2*testamentMax))).Run()
	if Testament(l.All[0].Dir) == "" {
		t.Error("nothing is said where there is much to say")
	}
	r.closed(l)
	l = r.started(r.want("a", "b"))
	defer r.closed(l)
	for _, d := range l.All {
		if said := Testament(d.Dir); said != "" {
			t.Errorf("%s still says %q", d.Name, said)
		}
	}
}
