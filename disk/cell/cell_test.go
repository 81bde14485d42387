package cell_test

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"pinion/disk/cell"
	"pinion/disk/faulty"
)

// TestOldOrNew cuts the power at every change of a replacement: the old or the new value is there, whole.
func TestOldOrNew(t *testing.T) {
	old, next := bytes.Repeat([]byte("old "), 300), bytes.Repeat([]byte("next"), 500)
	seen := map[string]int{}
	for at := 1; at <= 5; at++ {
		for tear := range uint64(20) {
			d := faulty.New(tear)
			if err := cell.Write(d, "value", 1, old); err != nil {
				t.Fatal(err)
			}
			d.CutAt(at)
			if err := cell.Write(d, "value", 2, next); !errors.Is(err, faulty.ErrCut) {
				t.Fatalf("cut at %d: %v", at, err)
			}
			version, got, err := cell.Read(d.AfterCut(tear), "value")
			switch {
			case err != nil:
				t.Fatalf("cut at %d: %v", at, err)
			case version == 1 && bytes.Equal(got, old):
				seen["old"]++
			case version == 2 && bytes.Equal(got, next):
				seen["new"]++
			default:
				t.Fatalf("cut at %d: version %d, %d bytes", at, version, len(got))
			}
		}
	}
	if seen["old"] == 0 || seen["new"] == 0 {
		t.Errorf("cuts left %v; both must occur", seen)
	}
}

func TestDamageIsSeen(t *testing.T) {
	d := faulty.New(0)
	if err := cell.Write(d, "value", 7, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	whole, _ := d.ReadFile("value", 100)
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		if _, _, ok := cell.Decode(b); ok {
			t.Errorf("byte %d", i)
		}
		if _, _, ok := cell.Decode(whole[:i]); ok {
			t.Errorf("cut at byte %d", i)
		}
	}
	if _, _, err := cell.Read(d, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing value: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("PCEL\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, value, ok := cell.Decode(b); ok && len(value) > len(b) {
			t.Fatal(len(value))
		}
	})
}
