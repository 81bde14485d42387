package journal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"pinion/disk/faulty"
)

// FuzzRead: two files of any bytes are read, or refused as damage; twice the same, and a journal goes on behind what was read.
func FuzzRead(f *testing.F) {
	l := &life{dir: faulty.New(1), rand: rand.New(rand.NewPCG(1, 2))}
	l.run(20)
	var files [][]byte
	entries, err := l.dir.List(Folder)
	if err != nil {
		f.Fatal(err)
	}
	for _, e := range entries {
		b, err := l.dir.ReadFile(Folder+"/"+e.Name, small.FileBytes)
		if err != nil {
			f.Fatal(err)
		}
		files = append(files, b)
	}
	f.Add(files[0], files[1])
	f.Add(files[0], []byte(nil))
	f.Add(files[1][:1000], files[0][512:])
	f.Fuzz(func(t *testing.T, a, b []byte) {
		dir := faulty.New(1)
		if err := dir.Mkdir(Folder); err != nil {
			t.Fatal(err)
		}
		for name, data := range map[string][]byte{"0": a, "1": b} {
			if err := dir.Replace(Folder+"/"+name+nameSuffix, data); err != nil {
				t.Fatal(err)
			}
		}
		c, err := Read(dir, small)
		var damage *Damage
		if err != nil && !errors.As(err, &damage) {
			t.Fatal(err)
		}
		again, errAgain := Read(dir, small)
		if (err == nil) != (errAgain == nil) || (err == nil && !reflect.DeepEqual(c, again)) {
			t.Fatalf("read twice: %v, %v", err, errAgain)
		}
		if err != nil || c.Generation > 1<<62 || c.Sequence > 1<<62 {
			return
		}
		w, err := Open(dir, small, c)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		buffer := NewBuffer()
		buffer.Add(&Entry{Kind: Append, Partition: part(7), Base: 1, End: 2, Bytes: []byte("after")})
		if n, err := w.Write([]*Buffer{buffer}, w.Generation()); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		after, err := Read(dir, small)
		if err != nil {
			t.Fatal(err)
		}
		if tail := after.Tail(part(7)); tail == nil || string(tail.Appends[len(tail.Appends)-1].Bytes) != "after" {
			t.Fatal("what was written behind is not found")
		}
	})
}

// FuzzEntries: entries of any bytes, in a record that is sound, are refused or say the same when they are written again.
func FuzzEntries(f *testing.F) {
	one := appendEntry(nil, &Entry{Kind: Append, Partition: part(1), Base: 3, End: 5, Segment: 0, Pos: 100, Epoch: 2, Bytes: []byte("batch")})
	f.Add(one, uint16(1))
	f.Add(appendEntry(one, &Entry{Kind: Synced, Partition: part(1), End: 5}), uint16(2))
	f.Add(appendEntry(one, &Entry{Kind: Truncate, Partition: part(1), Base: 4}), uint16(2))
	f.Add(one[:60], uint16(1))
	f.Fuzz(func(t *testing.T, raw []byte, count uint16) {
		sealed := seal(append(make([]byte, recordHeader), raw...), int(count), stamp{first: 1, sequence: 1, last: 1})
		r, ok := readHead(sealed)
		if !ok || r.count != int(count) || !bytes.Equal(r.entries, raw) {
			t.Fatal("a record that was sealed is not sound")
		}
		if r, ok = readRecord(sealed); !ok {
			return // of a batch that would stand behind it
		}
		var all []Entry
		if r.each(func(e *Entry) { all = append(all, *e) }) != nil {
			return
		}
		var again []byte
		for i := range all {
			again = appendEntry(again, &all[i])
		}
		var same []Entry
		rewritten := record{count: len(all), entries: again}
		if err := rewritten.each(func(e *Entry) { same = append(same, *e) }); err != nil || !reflect.DeepEqual(all, same) {
			t.Fatalf("%v: %+v, then %+v", err, all, same)
		}
		tail := &Tail{}
		for i := range all {
			tail.add(&all[i])
		}
		for _, e := range tail.Appends {
			if e.Kind != Append {
				t.Fatalf("kind %d is taken for a batch", e.Kind)
			}
		}
	})
}
