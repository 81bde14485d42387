package logdir

import (
	"fmt"
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"

	"pinion/disk/device"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/catalog"
	"pinion/engine/model"
)

// sickDir is a directory whose disk fails calls.
type sickDir struct {
	device.Dir
	fail func(op, name string) error
}

func (d *sickDir) List(name string) ([]device.Entry, error) {
	if err := d.fail("list", name); err != nil {
		return nil, err
	}
	return d.Dir.List(name)
}

func (d *sickDir) ReadFile(name string, most int64) ([]byte, error) {
	if err := d.fail("read", name); err != nil {
		return nil, err
	}
	return d.Dir.ReadFile(name, most)
}

func (d *sickDir) Rename(from, to string) error {
	if err := d.fail("rename", from); err != nil {
		return err
	}
	return d.Dir.Rename(from, to)
}

func (d *sickDir) RemoveAll(name string) error {
	if err := d.fail("remove", name); err != nil {
		return err
	}
	return d.Dir.RemoveAll(name)
}

// TestASickDirectoryIsLostAlone: whatever a start meets in one directory while it looks for folders that belong elsewhere, the others go on; where it is
// the metadata log's no node starts.
func TestASickDirectoryIsLostAlone(t *testing.T) {
	for _, c := range []struct{ in, folder, op, name string }{
		{"b", "orders-0", "read", "orders-0/partition.metadata"}, // whose is it
		{"b", "orders-0", "list", "."},
		{"b", log.Future.Name("orders-1", orders), "remove", ""}, // what has arrived since
		{"b", log.Arrived.Name("orders-1", orders), "rename", ""},
		{"b", log.Arrived.Name("other-0", model.TopicID{9}), "rename", ""}, // of no topic
		{"a", "orders-1", "read", "orders-1/partition.metadata"},
		{"a", log.Arrived.Name("orders-0", orders), "rename", ""},
	} {
		r := newRig(t)
		r.closed(r.started(r.want("a", "b")))
		r.apply(catalog.CreateTopic(catalog.TopicSpec{Name: "orders", ID: orders, Partitions: 2, ReplicationFactor: 1}))
		r.folder(c.in, c.folder, orders)
		l, err := Open(r.want("a", "b"), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.OpenRest(r.machine.Image()); err != nil {
			t.Fatal(err)
		}
		sick, lists := l.All[0], 0
		if c.in == "b" {
			sick = l.All[1]
		}
		sick.Dir = &sickDir{Dir: sick.Dir, fail: func(op, name string) error {
			if op == "list" && name == "." {
				lists++
			}
			if op == c.op && (name == c.name || name == c.folder) && (op != "list" || lists > 2) { // two come before
				return fmt.Errorf("%s %s: %w", op, name, unix.EIO)
			}
			return nil
		}}
		_, err = l.Prepare(r.machine.Image(), journal.DefaultOptions())
		switch {
		case c.in == "a" && err == nil:
			t.Errorf("%s of %s: a node starts where the disk of its metadata log is sick", c.op, c.folder)
		case c.in == "b" && (err != nil || l.All[0].Missing() || !l.All[1].Missing()):
			t.Errorf("%s of %s: %v; a is lost for %v, b for %v", c.op, c.folder, err, l.All[0].Fenced(), l.All[1].Fenced())
		}
		r.closed(l)
	}
}
