package logdir

import (
	"maps"
	"testing"

	"pinion/disk/faulty"
)

// FuzzRecoveryPoints: any file gives points that can be written and read again, and none that is not an offset.
func FuzzRecoveryPoints(f *testing.F) {
	f.Add([]byte("1\n01020304-0506-0708-090a-0b0c0d0e0f10 0 17\n"))
	f.Add([]byte("1\nAQIDBAUGBwgJCgsMDQ4PEA 2 9223372036854775807\n"))
	f.Add([]byte("0\n1\norders 0 5\n"))
	f.Add([]byte("x y -1\nx 1 99999999999999999999\n\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		dir := faulty.New(1)
		if err := dir.Replace(pointsFile, text); err != nil {
			t.Fatal(err)
		}
		points, err := RecoveryPoints(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for p, offset := range points {
			if offset <= 0 {
				t.Fatalf("%v is synced below %d", p, offset)
			}
		}
		if err := New(dir).WriteRecoveryPoints(points, 1); err != nil {
			t.Fatal(err)
		}
		again, err := RecoveryPoints(dir, nil)
		if err != nil || !maps.Equal(points, again) {
			t.Fatalf("%v: %v, then %v", err, points, again)
		}
	})
}
