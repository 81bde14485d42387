package producer

import (
	"encoding/hex"
	"errors"
	"hash/crc32"
	"slices"
	"testing"

	"pinion/engine/clock"
	"pinion/engine/model"
)

func sample() *Table {
	t := NewTable()
	for id := range int64(4) {
		sequence, offset := int32(id*100), model.Offset(id*1000)
		for range id + 1 {
			sequence, offset = add(t, id, int16(id), sequence, 3, offset, clock.Wall(50-id))
		}
	}
	return t
}

// TestKafkaBytes pins Kafka's file, field by field (ProducerSnapshot.json).
func TestKafkaBytes(t *testing.T) {
	table := NewTable()
	table.Add(Batch{ProducerID: 258, Epoch: 2, First: 4, Last: 6, Base: 10, LastOffset: 12, Timestamp: 1000}, 77)
	want := "0001" + "c5d02796" + "00000001" +
		"0000000000000102" + "0002" + "00000006" + "000000000000000c" + "00000002" + "00000000000003e8" + "ffffffff" + "ffffffffffffffff"
	got := hex.EncodeToString(table.AppendSnapshot(nil))
	if got != want {
		t.Errorf("snapshot is\n%s, want\n%s", got, want)
	}
}

// TestWindowBytes pins ours: a change of format needs a new version.
func TestWindowBytes(t *testing.T) {
	table := NewTable()
	table.Add(Batch{ProducerID: 258, Epoch: 2, First: 4, Last: 6, Base: 10, LastOffset: 12, Timestamp: 1000}, 77)
	want := hex.EncodeToString([]byte("PINIONPW")) + "0001" + "00000000" + "00000001" +
		"0000000000000102" + "000000000000004d" + "ffffffffffffffff" + "ffffffff" + "0002" + "01" +
		"00000006" + "00000002" + "000000000000000c" + "00000000000003e8"
	got := table.AppendWindow([]byte("x"))[1:]
	clear(got[windowAtCRC : windowAtCRC+4])
	if hex.EncodeToString(got) != want {
		t.Errorf("window is\n%x, want\n%s", got, want)
	}
}

func TestLoad(t *testing.T) {
	table := sample()
	snapshot, window := table.AppendSnapshot(nil), table.AppendWindow(nil)
	loaded, err := Load(snapshot, window)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, loaded)
	if !slices.Equal(loaded.AppendWindow(nil), window) || !slices.Equal(loaded.AppendSnapshot(nil), snapshot) {
		t.Error("a table loaded from both writes other files")
	}
	loaded, err = Load(snapshot, nil)
	if err != nil {
		t.Fatal(err)
	}
	valid(t, loaded)
	if !slices.Equal(loaded.AppendSnapshot(nil), snapshot) {
		t.Error("a table loaded from Kafka's snapshot writes another")
	}
	if empty, err := Load(nil, nil); err != nil || empty.Len() != 0 {
		t.Errorf("nothing to load: %v", err)
	}
	if empty, err := Load(NewTable().AppendSnapshot(nil), NewTable().AppendWindow(nil)); err != nil || empty.Len() != 0 {
		t.Errorf("empty files: %v", err)
	}
}

// TestCarriesTransactions: what Kafka wrote about an open transaction and a producer without batches survives our hands.
func TestCarriesTransactions(t *testing.T) {
	raw, _ := hex.DecodeString("0001" + "00000000" + "00000001" +
		"0000000000000102" + "0002" + "ffffffff" + "ffffffffffffffff" + "00000000" + "00000000000003e8" + "00000009" + "0000000000000030")
	mend(raw, snapshotAtCRC, snapshotAtEntries)
	table, err := Load(raw, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(table.AppendSnapshot(nil), raw) {
		t.Errorf("written back as\n%x, was\n%x", table.AppendSnapshot(nil), raw)
	}
	again, err := Load(nil, table.AppendWindow(nil))
	if err != nil || !slices.Equal(again.AppendSnapshot(nil), raw) {
		t.Errorf("lost by way of the window: %v", err)
	}
	if check(table, 258, 2, 0, 1) != OK || check(table, 258, 2, 1, 1) != OutOfOrder || check(table, 258, 1, 0, 1) != StaleEpoch {
		t.Error("a producer without batches starts anywhere but at 0")
	}
}

func mend(b []byte, atCRC, from int) {
	sum := crc32.Checksum(b[from:], castagnoli)
	b[atCRC], b[atCRC+1], b[atCRC+2], b[atCRC+3] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
}

// TestDamage flips every bit and cuts at every byte: refused, or for a version never the same table.
func TestDamage(t *testing.T) {
	table := sample()
	files := map[string][]byte{"snapshot": table.AppendSnapshot(nil), "window": table.AppendWindow(nil)}
	for name, whole := range files {
		load := func(b []byte) error {
			var err error
			if name == "window" {
				_, err = Load(files["snapshot"], b)
			} else {
				_, err = Load(b, nil)
			}
			return err
		}
		for n := 1; n < len(whole); n++ {
			if err := load(whole[:n]); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
		}
		if err := load(append(whole[:len(whole):len(whole)], 0)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s with a byte more: %v", name, err)
		}
		for i := range 8 * len(whole) {
			b := slices.Clone(whole)
			b[i/8] ^= 1 << (i % 8)
			if err := load(b); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s with bit %d flipped: %v", name, i, err)
			}
		}
	}
}

func FuzzLoad(f *testing.F) {
	table := sample()
	f.Add(table.AppendSnapshot(nil), []byte(nil))
	f.Add([]byte(nil), table.AppendWindow(nil))
	f.Fuzz(func(t *testing.T, snapshot, window []byte) {
		if len(snapshot) >= snapshotHeaderSize {
			mend(snapshot, snapshotAtCRC, snapshotAtEntries)
		}
		if len(window) >= windowHeaderSize {
			mend(window, windowAtCRC, windowAtEntries)
		}
		got, err := Load(snapshot, window)
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatalf("unexpected error: %v", err)
			}
			return
		}
		valid(t, got)
		again, err := Load(nil, got.AppendWindow(nil))
		if err != nil || !slices.Equal(again.AppendWindow(nil), got.AppendWindow(nil)) {
			t.Fatalf("does not survive a second writing: %v", err)
		}
		got.Check(1, 0, 0, 0, 1)
	})
}
