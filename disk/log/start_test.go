package log

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"testing"

	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/model"
)

// move stores a start and removes what lies before it.
func (r *rig) move(to model.Offset) {
	r.t.Helper()
	r.run(r.l.StoreStart(to))
	r.expireAll(r.l.Written())
}

func TestStoredStart(t *testing.T) {
	r := newRig(t, testConfig())
	for range 30 {
		r.append(10, 1000)
	}
	if r.l.StoreStart(301) != nil || r.l.StoreStart(-1) != nil {
		t.Fatal("a start outside the log passes")
	}
	w := r.l.StoreStart(150)
	if r.l.StoreStart(160) != nil || r.l.Close() != nil || r.l.Start() != 0 {
		t.Fatal("the start moves, or the log closes, before the file is there")
	}
	r.run(w)
	if r.l.StoreStart(149) != nil {
		t.Fatal("the start moves back")
	}
	r.expireAll(300)
	if r.l.Start() != 150 || r.l.extents[0].base > 150 || r.l.extents[1].base <= 150 {
		t.Fatalf("start %d, segments from %d", r.l.Start(), r.l.extents[0].base)
	}
	checkReads(t, r)
	c := r.crash(OpenFrom{})
	if c.l.Start() != 150 || c.l.End() != 300 {
		t.Fatalf("after a crash [%d, %d)", c.l.Start(), c.l.End())
	}
	checkReads(t, c)
	c.move(300)
	if c.l.Start() != 300 || c.l.Segments() != 1 {
		t.Fatalf("start %d, %d segments", c.l.Start(), c.l.Segments())
	}
	if c.append(1, 10); c.l.End() != 301 {
		t.Fatalf("end %d", c.l.End())
	}
	c.close()
	c.open(OpenFrom{RecoveryPoint: 301})
	if c.l.Start() != 300 || c.l.End() != 301 {
		t.Fatalf("after a clean stop [%d, %d)", c.l.Start(), c.l.End())
	}
}

// The start survives a power cut that the records before it do not: their offsets are not given to others.
func TestStoredStartBehindTheEnd(t *testing.T) {
	r := newRig(t, testConfig())
	r.append(10, 100)
	r.append(10, 100)
	r.run(r.l.StoreStart(20))
	c := &rig{t: t, path: copyTree(t, r.path), cfg: r.cfg, now: r.now}
	name := filepath.Join(c.path, "orders-0", "00000000000000000000.log")
	if err := os.Truncate(name, 1200); err != nil {
		t.Fatal(err)
	}
	c.open(OpenFrom{})
	if c.l.Start() != 20 || c.l.End() != 20 || c.l.Size() != 0 {
		t.Fatalf("[%d, %d), %d bytes", c.l.Start(), c.l.End(), c.l.Size())
	}
	c.append(5, 10)
	d := c.crash(OpenFrom{})
	if d.l.Start() != 20 || d.l.End() != 25 {
		t.Fatalf("[%d, %d)", d.l.Start(), d.l.End())
	}
	checkReads(t, d)
}

// A truncation below the stored start takes it along, or the next start would throw away what was written since.
func TestTruncationBelowTheStoredStart(t *testing.T) {
	for _, to := range []model.Offset{0, 30, 100} {
		r := newRig(t, testConfig())
		for range 30 {
			r.append(10, 1000)
		}
		r.run(r.l.StoreStart(150))
		r.run(r.l.Truncate(to))
		if r.l.End() > to || r.l.Start() > to {
			t.Fatalf("to %d: [%d, %d)", to, r.l.Start(), r.l.End())
		}
		r.append(10, 10)
		want := r.l.End()
		if c := r.crash(OpenFrom{}); c.l.End() != want || c.l.Start() != r.l.Start() {
			t.Fatalf("to %d: [%d, %d) after a crash, want [%d, %d)", to, c.l.Start(), c.l.End(), r.l.Start(), want)
		}
	}
}

func TestDamagedStartIsNotPassedOver(t *testing.T) {
	for _, text := range []string{"", "0\n", "1\n5\n", "0\n5", "0\n-5\n", "0\nfive\n", "0\n5\n6\n"} {
		r := newRig(t, testConfig())
		r.append(10, 100)
		r.close()
		if err := os.WriteFile(filepath.Join(r.path, "orders-0", startFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var damage *Damage
		if err := r.tryOpen(OpenFrom{}); !errors.As(err, &damage) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Kafka's rule: a partition nobody wrote to has nothing to delete, and no folder is made for it.
func TestStoreStartOfAnEmptyLog(t *testing.T) {
	r := newRig(t, testConfig())
	r.run(r.l.StoreStart(0))
	if r.l.StoreStart(1) != nil {
		t.Fatal("a start behind the end passes")
	}
	if _, err := os.Stat(filepath.Join(r.path, "orders-0")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("folder: %v", err)
	}
}

// FuzzStart: any bytes are an offset that is written the same way, or damage.
func FuzzStart(f *testing.F) {
	f.Add(appendStart(nil, 0))
	f.Add(appendStart(nil, 1<<62))
	f.Add([]byte("0\n+7\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := faulty.New(1)
		mustPut(t, d, path.Join("orders-0", startFile), text)
		at, err := readStart(d, "orders-0")
		if err != nil {
			return
		}
		if err := writeStart(d, "orders-0", at); err != nil {
			t.Fatal(err)
		}
		if again, err := readStart(d, "orders-0"); at < 0 || again != at || err != nil {
			t.Fatalf("%q is %d, then %d, %v", text, at, again, err)
		}
	})
}

// TestStartBehindTheEnd: records that are deleted may be lost by a power cut, also such as were durable. The log goes on at its start, in this life and
// in the next, which finds no segment; an inspection has nothing against either.
func TestStartBehindTheEnd(t *testing.T) {
	dir := faulty.New(1)
	l, _, err := Open(dir, "orders-0", testID, testConfig(), OpenFrom{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, cfg: testConfig(), l: l, files: NewFiles(8)}
	l.Attach(r.files)
	r.append(3, 100)
	r.run(l.SyncWork())
	r.append(2, 100)
	r.run(l.StoreStart(5))
	dir.Damage(fileName("orders-0", 0, logSuffix), func([]byte) []byte { return nil })
	from := OpenFrom{RecoveryPoint: 0, Durable: 3} // as a journal has it whose node's checkpoint is old
	dir = dir.AfterCut(1)
	for life := range 2 {
		in, err := Inspect(dir, "orders-0", false, from, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range in.Findings {
			if !f.Mended {
				t.Errorf("life %d: inspection finds damage: %+v", life, f)
			}
		}
		l, _, err := Open(dir, "orders-0", testID, testConfig(), from, nil)
		if err != nil {
			t.Fatalf("life %d: %v", life, err)
		}
		if l.Start() != 5 || l.End() != 5 {
			t.Fatalf("life %d: [%d, %d)", life, l.Start(), l.End())
		}
	}
}

// TestStoreStartOnAFullDisk: a disk that takes a name and no byte more refuses DeleteRecords and nothing else.
func TestStoreStartOnAFullDisk(t *testing.T) {
	r, d := nearlyFull(t)
	d.Limit(d.Used() + 1)
	if err := r.try(r.l.StoreStart(2)); !errors.Is(err, device.ErrNoSpace) || r.l.Err() != nil || r.l.Start() != 0 {
		t.Fatalf("%v; the log has failed: %v, start %d", err, r.l.Err(), r.l.Start())
	}
	d.Limit(0)
	r.run(r.l.StoreStart(2))
	if r.l.Start() != 2 {
		t.Fatalf("start %d", r.l.Start())
	}
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
}
