package device

import "testing"

// The date of a file is what List says of it.
func TestDate(t *testing.T) {
	dir, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, err := dir.Create("a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Pwritev([][]byte{{1}}, 0); err != nil {
		t.Fatal(err)
	}
	f.Date(1_700_000_000_123)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := dir.List(".")
	if err != nil || len(entries) != 1 || entries[0].Modified != 1_700_000_000_123 {
		t.Errorf("%+v, %v", entries, err)
	}
}
