package logdir

import (
	"testing"

	"pinion/disk/faulty"
)

// TestBelievedTime: what the last life believed counts, not what a clock that may be wrong has stamped the file with.
func TestBelievedTime(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64
	}{{"1\nbelieved 1700000000000\n", 1_700_000_000_000}, {"1\n", 1_731_536_000_000}, {"1\nbelieved -5\nbelieved x\n", 1_731_536_000_000}} {
		dir := faulty.New(1)
		dir.Clock(func() int64 { return 1_731_536_000_000 })
		if err := dir.Replace(pointsFile, []byte(c.text)); err != nil {
			t.Fatal(err)
		}
		entries, err := dir.List(".")
		if err != nil {
			t.Fatal(err)
		}
		if seen, err := lastSeen(dir, entries); err != nil || int64(seen) != c.want {
			t.Errorf("%q: %d, %v, want %d", c.text, seen, err, c.want)
		}
	}
	dir := faulty.New(1)
	if err := New(dir).WriteRecoveryPoints(nil, 1_700_000_000_000); err != nil {
		t.Fatal(err)
	}
	entries, err := dir.List(".")
	if err != nil {
		t.Fatal(err)
	}
	if seen, err := lastSeen(dir, entries); err != nil || seen != 1_700_000_000_000 {
		t.Errorf("%d, %v", seen, err)
	}
	if points, err := RecoveryPoints(dir, nil); err != nil || len(points) != 0 {
		t.Errorf("%v, %v", points, err)
	}
}
