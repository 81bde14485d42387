package log

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/clock"
)

// copyRig is a log on one disk and an empty one that it is to go to.
func copyRig(t *testing.T) (r *rig, to *faulty.Dir) {
	t.Helper()
	r = &rig{t: t, cfg: testConfig(), disk: faulty.New(1), now: clock.Now{Mono: 1, Wall: 1_700_000_000_000}}
	r.open(OpenFrom{})
	to = faulty.New(2)
	if err := Wish(to, "orders-0", testID); err != nil {
		t.Fatal(err)
	}
	return r, to
}

// copyAll copies until nothing is left, in pieces.
func copyAll(r *rig, c *Copy) error {
	for p := c.Next(r.l, 10_000); p != nil; p = c.Next(r.l, 10_000) {
		p.Do()
		if _, err := c.Finish(p); err != nil {
			return err
		}
	}
	return nil
}

// folderBytes are all bytes of a folder, by name.
func folderBytes(t *testing.T, dir device.Dir, folder string) map[string]string {
	t.Helper()
	entries, err := dir.List(folder)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		b, err := dir.ReadFile(path.Join(folder, e.Name), 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		all[e.Name] = string(b)
	}
	return all
}

// A copy that is made while the log grows, rolls and loses its first segments is in the end the same, byte for byte and file for file, after a power cut
// as well; nothing is left where the log was.
func TestCopyFollowsTheLog(t *testing.T) {
	r, to := copyRig(t)
	for range 30 {
		r.append(3, 900)
	}
	r.run(r.l.SyncWork())
	c := r.l.NewCopy(to)
	for range 2 {
		p := c.Next(r.l, 20_000)
		p.Do()
		if n, err := c.Finish(p); err != nil || n == 0 {
			t.Fatalf("a piece of %d bytes: %v", n, err)
		}
	}
	if end := c.End(r.l); end <= 0 || end >= r.l.End() || c.Left(r.l) <= 0 || c.Bytes(r.l)+c.Left(r.l) != r.l.Size() {
		t.Fatalf("up to offset %d of %d, %d bytes are there and %d left", end, r.l.End(), c.Bytes(r.l), c.Left(r.l))
	}
	for range 60 {
		r.append(3, 900)
	}
	r.run(r.l.SyncSealed())
	r.run(r.l.StoreStart(80))
	r.run(r.l.Expire(r.now, r.l.End()))
	if r.l.Segments() < 3 {
		t.Fatalf("%d segments", r.l.Segments())
	}
	if err := copyAll(r, c); err != nil {
		t.Fatal(err)
	}
	if end := c.End(r.l); end != r.l.End() || c.Left(r.l) != 0 {
		t.Fatalf("up to offset %d of %d, %d bytes left", end, r.l.End(), c.Left(r.l))
	}
	r.append(3, 900)
	want, start, end := r.all(), r.l.Start(), r.l.End()
	r.run(r.l.Close())
	files := folderBytes(t, r.dir, "orders-0")
	if empty, err := c.Settle(); err != nil || empty {
		t.Fatal(empty, err)
	}
	if err := Arrive(to, "orders-0", testID); err != nil {
		t.Fatal(err)
	}
	left := to.Lost(3) // nothing that was not synced
	got := folderBytes(t, left, Arrived.Name("orders-0", testID))
	for name, b := range files {
		if got[name] != b {
			t.Errorf("%s: %d bytes, and %d where it was", name, len(got[name]), len(b))
		}
	}
	if len(got) != len(files) {
		t.Errorf("%d files, and %d where it was", len(got), len(files))
	}
	if err := errors.Join(Leave(r.dir, "orders-0", testID), Land(left, "orders-0", testID), Left(r.dir, "orders-0", testID, Leaving)); err != nil {
		t.Fatal(err)
	}
	if entries, err := r.dir.List("."); err != nil || len(entries) > 0 {
		t.Errorf("where it was: %v %v", entries, err)
	}
	n := &rig{t: t, cfg: r.cfg, disk: left, now: r.now}
	n.open(OpenFrom{RecoveryPoint: end})
	if n.l.Start() != start || n.l.End() != end || !bytes.Equal(n.all(), want) {
		t.Errorf("the copy is [%d, %d), it was [%d, %d)", n.l.Start(), n.l.End(), start, end)
	}
}

// A log that was never written leaves nothing anywhere.
func TestCopyOfNothing(t *testing.T) {
	r, to := copyRig(t)
	c := r.l.NewCopy(to)
	if c.Next(r.l, 1) != nil {
		t.Fatal("a piece of nothing")
	}
	r.run(r.l.Close())
	if empty, err := c.Settle(); err != nil || !empty {
		t.Fatal(empty, err)
	}
	if entries, err := to.List("."); err != nil || len(entries) > 0 {
		t.Errorf("%v %v", entries, err)
	}
}

// Whose fault an error is: a disk without room refuses the copy, one that fails is out of service, and what the log's own disk does not give is damage
// of the log. The log itself is none the worse for any error of the other disk.
func TestCopyTellsWhoseFaultItIs(t *testing.T) {
	broken := func(what faulty.Op, suffix string) func(op faulty.Op, path string) error {
		return func(op faulty.Op, path string) error {
			if op == what && strings.HasSuffix(path, suffix) {
				return fmt.Errorf("%s: %w", path, unix.EIO)
			}
			return nil
		}
	}
	for _, c := range []struct {
		name           string
		harm           func(r *rig, to *faulty.Dir)
		target, final  bool
		damage, settle bool
	}{
		{name: "no room", harm: func(_ *rig, to *faulty.Dir) { to.Limit(to.Used() + 4096) }, target: true},
		{name: "a write fails", harm: func(_ *rig, to *faulty.Dir) { to.Fail(broken(faulty.Write, logSuffix)) }, target: true, final: true},
		{name: "a sync fails", harm: func(_ *rig, to *faulty.Dir) { to.Fail(broken(faulty.Sync, logSuffix)) }, target: true, final: true},
		{name: "a small file fails", harm: func(_ *rig, to *faulty.Dir) { to.Fail(broken(faulty.Sync, metadataFile+".tmp")) }, target: true, final: true, settle: true},
		{name: "the folder's sync fails", harm: func(_ *rig, to *faulty.Dir) { to.Fail(broken(faulty.SyncDir, "-future")) }, target: true, final: true, settle: true},
		{name: "the log does not read", harm: func(r *rig, _ *faulty.Dir) { r.disk.(*faulty.Dir).Fail(broken(faulty.Read, logSuffix)) }, damage: true},
		{name: "the log is damaged", harm: func(r *rig, _ *faulty.Dir) {
			r.disk.(*faulty.Dir).Damage(fileName("orders-0", 0, logSuffix), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
		}, damage: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, to := copyRig(t)
			for range 30 {
				r.append(3, 900)
			}
			r.run(r.l.SyncWork())
			copying := r.l.NewCopy(to)
			if c.settle {
				if err := copyAll(r, copying); err != nil {
					t.Fatal(err)
				}
			}
			c.harm(r, to)
			err := copyAll(r, copying)
			if c.settle && err == nil {
				r.run(r.l.Close())
				_, err = copying.Settle()
			}
			var of *TargetError
			if is := errors.As(err, &of); is != c.target || is && of.Final != c.final || IsDamage(err) != c.damage {
				t.Errorf("%v (%T): want the target's %t, final %t, damage %t", err, err, c.target, c.final, c.damage)
			}
			if r.l.Err() != nil {
				t.Errorf("the log has failed: %v", r.l.Err())
			}
		})
	}
}

// A log that was cut must be copied anew: bytes that were copied may be others by now.
func TestCopyOfALogThatIsCut(t *testing.T) {
	r, to := copyRig(t)
	for range 10 {
		r.append(3, 900)
	}
	r.run(r.l.SyncWork())
	c := r.l.NewCopy(to)
	if err := copyAll(r, c); err != nil || c.Stale(r.l) {
		t.Fatal(err)
	}
	r.run(r.l.Truncate(12))
	if !c.Stale(r.l) {
		t.Error("the copy takes itself for good")
	}
}

// Names of a crossing say which partition's they are, also where the topic's name had to be cut.
func TestCrossingNames(t *testing.T) {
	for _, topic := range []string{"o", "with.dots-and-1", strings.Repeat("x", 249)} {
		for _, is := range []Crossing{Future, Arrived, Leaving} {
			name := is.Name(FolderName(topic, 17), testID)
			p, got, ok := ParseCrossing(name)
			if !ok || got != is || p.Topic != testID || p.Index != 17 || len(name) > 255 {
				t.Errorf("%s: %v %s %t", name, p, got, ok)
			}
			if _, _, plain := ParseFolder(name); plain || IsDropped(name) {
				t.Errorf("%s passes for another kind", name)
			}
		}
	}
	for _, name := range []string{"orders-0", "orders-0.-future", "orders-0.0102-future", "-future", "orders.0102030405060708090a0b0c0d0e0f10-future", "x-0.zz02030405060708090a0b0c0d0e0f10-arrived"} {
		if _, _, ok := ParseCrossing(name); ok {
			t.Errorf("%s passes", name)
		}
	}
}
