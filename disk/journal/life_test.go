package journal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"pinion/disk/device"
	"pinion/disk/faulty"
	"pinion/engine/model"
)

// What a producer sends lies in the journal as it is, and its bytes may look like a record. When the file is used again the record that held them is
// written over, and they are not: no start may take them for the journal's own.
func TestAProducersBytesAreNoRecord(t *testing.T) {
	options := Options{FileBytes: 64 << 10, FilesMax: 2}
	dir := faulty.New(1)
	found, err := Read(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	w, err := Open(dir, options, found)
	if err != nil {
		t.Fatal(err)
	}
	write := func(e *Entry) {
		t.Helper()
		b := NewBuffer()
		b.Lend(e)
		if _, err := w.Write([]*Buffer{b}, w.Generation()); err != nil {
			t.Fatal(err)
		}
	}
	forged := seal(make([]byte, recordHeader), 0, stamp{generation: 1 << 60, sequence: 100, oldest: 1 << 60, first: 0, last: 100})
	evil := payload(0, 0, 8<<10)
	for at := 2 * boundary; at < len(evil); at += boundary { // wherever the batch lies in memory, some offset fits
		copy(evil[at:], forged)
	}
	evil = lie(evil, 0)
	binary.BigEndian.PutUint32(evil[17:], crc32.Checksum(evil[21:], castagnoli))
	for w.Generation() < 4 {
		write(&Entry{Kind: Append, Partition: part(0), Base: 0, End: 1, Bytes: evil})
	}
	write(&Entry{Kind: Append, Partition: part(1), Base: 0, End: 1, Bytes: payload(1, 0, 100)})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if found, err = Read(dir, options); err != nil {
		t.Fatalf("a start refuses: %v", err)
	}
	if tail := found.Tail(part(1)); tail == nil || len(tail.Appends) != 1 {
		t.Fatalf("what was acknowledged is not found: generation %d, torn %q", found.Generation, found.Torn)
	}
}

// The first write into a file that is used again may be torn so that its head shows the earlier use and only what lies behind headBytes is new: a
// generation that a start does not see. What the start writes must not be mixed up with that, in the same file and with the same sequences.
func TestATornFirstWriteHiddenBehindAnOlderHead(t *testing.T) {
	for _, writes := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("%d writes", writes), func(t *testing.T) { hiddenBehindAnOlderHead(t, writes) })
	}
}

func hiddenBehindAnOlderHead(t *testing.T, writes int) {
	options := Options{FileBytes: 512 << 10, FilesMax: 3}
	dir := faulty.New(1)
	next := model.Offset(0)
	buffer := func(p int32, bytes int) *Buffer {
		b := NewBuffer()
		b.Add(&Entry{Kind: Append, Partition: part(p), Base: next, End: next + 1, Bytes: payload(p, next, bytes)})
		next++
		return b
	}
	open := func() *Writer {
		t.Helper()
		found, err := Read(dir, options)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("found generation %d, sequence %d, torn: %q", found.Generation, found.Sequence, found.Torn)
		w, err := Open(dir, options, found)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	write := func(w *Writer, buffers ...*Buffer) {
		t.Helper()
		if n, err := w.Write(buffers, w.Generation()); err != nil || n != len(buffers) {
			t.Fatal(n, err)
		}
	}
	// Many small records, so that every file has some of its earlier use at its head, until the next write begins a file that is used again.
	w := open()
	for w.Generation() < 6 || w.pos+100<<10 < options.FileBytes {
		write(w, buffer(0, 4<<10))
	}
	was := w.Generation()
	large := []*Buffer{buffer(1, 200<<10), buffer(1, 10<<10)} // two shards'
	before := map[string][]byte{}
	for _, s := range w.slots {
		raw, err := dir.ReadFile(s.name, options.FileBytes)
		if err != nil {
			t.Fatal(err)
		}
		before[s.name] = raw
	}
	write(w, large...)
	if w.Generation() != was+1 {
		t.Fatalf("generation %d after %d", w.Generation(), was)
	}
	// The power goes: of this write the disk has the second record and nothing of the first. It was told to nobody.
	torn := w.slots[w.current].name
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := dir.OpenDurable(torn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Pwritev([][]byte{append(device.Aligned(int(large[0].Bytes())), before[torn][:large[0].Bytes()]...)}, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	// The next life writes a little, each of it durable, and is killed.
	w = open()
	t.Logf("torn %s, goes on in %s", torn, w.slots[w.current].name)
	var acked []model.Offset
	for range writes {
		acked = append(acked, next)
		b := buffer(2, 100)
		if _, err := w.Write([]*Buffer{b}, w.Generation()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	found, err := Read(dir, options)
	if err != nil {
		t.Fatalf("a start refuses: %v", err)
	}
	var got []model.Offset
	if tail := found.Tail(part(2)); tail != nil {
		for _, e := range tail.Appends {
			got = append(got, e.Base)
		}
	}
	if len(got) != len(acked) {
		t.Errorf("of what was acknowledged, %v, the journal has %v (torn: %q)", acked, got, found.Torn)
	}
	if tail := found.Tail(part(1)); tail != nil {
		t.Errorf("%d batches that nobody was told of are back", len(tail.Appends))
	}
}
