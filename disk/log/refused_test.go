package log

import (
	"errors"
	"slices"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/device"
	"pinion/disk/faulty"
)

// The empty segment of a roll that a full disk refused may be back after a power cut: its name was durable, and that it was removed was not. Meanwhile the
// log has gone on in the segment before, whose end only the journal has.
func TestRefusedRollComesBackBeforeTheJournalsTail(t *testing.T) {
	r, d := nearlyFull(t)
	r.run(r.l.SyncWork())
	refused := r.l.End()
	// Somebody else's sync has the file system commit in this moment, and with it the new name.
	d.Fail(func(op faulty.Op, path string) error {
		if op == faulty.Reserve && path == fileName("orders-0", refused, logSuffix) {
			return errors.Join(d.SyncDir("orders-0"), device.ErrNoSpace)
		}
		return nil
	})
	if need := r.l.Need(2000, r.now, int64(r.now.Wall)); need != NeedRoll {
		t.Fatalf("need %d", need)
	}
	if err := r.try(r.l.Prepare(NeedRoll)); !errors.Is(err, device.ErrNoSpace) {
		t.Fatal(err)
	}
	d.Fail(nil)
	base := r.l.End()
	r.append(3, 10) // acknowledged: the journal has it
	segment, pos := r.l.Place()
	if segment == base {
		t.Fatal("the log did not go on in its segment")
	}
	raw, err := d.ReadFile(fileName("orders-0", segment, logSuffix), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	h, _ := batch.ReadHeader(raw[pos:])
	tail := []TailBatch{{Base: base, End: h.LastOffset() + 1, Segment: segment, Pos: pos, Bytes: raw[pos : pos+int64(h.Size())]}}
	left := d.Lost(1)
	in, err := Inspect(left, "orders-0", false, OpenFrom{RecoveryPoint: base, Tail: tail}, nil)
	if err != nil || in.Tail != 1 || slices.ContainsFunc(in.Findings, func(f Finding) bool { return f.Damage() }) {
		t.Errorf("inspection: %v, %+v", err, in)
	}
	l, rec, err := Open(left, "orders-0", testID, r.cfg, OpenFrom{RecoveryPoint: base, Tail: tail}, nil)
	if err != nil {
		t.Fatalf("what was acknowledged, and is in the journal, is offline: %v", err)
	}
	if l.End() != r.l.End() || l.Segments() != 1 {
		t.Errorf("the log ends at %d with %d segments, want %d: %+v", l.End(), l.Segments(), r.l.End(), rec)
	}
}
