package device

import (
	"errors"
	"testing"
)

// A reservation that would take the last twentieth of the disk is refused before the disk is full; what is not reserved goes on.
func TestKeepFree(t *testing.T) {
	dir, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	total, free, err := Space(dir.Path())
	if err != nil {
		t.Fatal(err)
	}
	f, err := dir.Create("file")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	length := free - total/40
	if length <= 0 {
		t.Skip("the disk is nearly full")
	}
	KeepFree(dir, 1<<60)
	if err := f.Reserve(0, length); !errors.Is(err, ErrNoSpace) {
		t.Fatalf("reserve %d of %d free bytes: %v", length, free, err)
	}
	if free > total/10 {
		if err := f.Reserve(0, 4096); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Pwritev([][]byte{[]byte("still written")}, 0); err != nil {
		t.Fatal(err)
	}
}
