package logdir

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinion/disk/device"
	"pinion/disk/entries"
	"pinion/disk/identity"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

const node model.NodeID = 1

var orders = model.TopicID{7}

// rig is a node's directories, and its catalogue.
type rig struct {
	t       *testing.T
	root    string
	machine *catalog.Machine
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, root: t.TempDir(), machine: catalog.New("c")}
	r.apply(catalog.RegisterBroker(catalog.Registration{Node: node, Shards: 1, Incarnation: [16]byte{1}}))
	return r
}

func (r *rig) apply(cmd catalog.Command) {
	r.t.Helper()
	if result, _ := r.machine.Apply(r.machine.Applied()+1, cmd.Bytes()); result.Err != nil {
		r.t.Fatal(result.Err)
	}
}

func (r *rig) want(names ...string) Want {
	w := Want{Node: node, Folder: "metadata-log", Random: rand.Reader}
	for _, n := range names {
		w.Paths = append(w.Paths, filepath.Join(r.root, n))
	}
	return w
}

// open opens everything as a start does.
func (r *rig) open(w Want) (*List, []Moved, error) {
	l, err := Open(w, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	r.t.Cleanup(func() { _ = l.Close() }) // some tests have
	if founded, err := entries.Founded(l.Metadata.Dir, w.Folder); err != nil || !founded {
		if err := errors.Join(err, entries.Found(l.Metadata.Dir, w.Folder, entries.Snapshot{Index: 1, Term: 1})); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := l.OpenRest(r.machine.Image()); err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	moved, err := l.Prepare(r.machine.Image(), journal.DefaultOptions())
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	if l.Several(r.machine.Image()) {
		r.apply(catalog.RegisterDirectories(node, l.Home.ID, l.Registered()))
	}
	return l, moved, nil
}

func (r *rig) started(w Want) *List {
	r.t.Helper()
	l, moved, err := r.open(w)
	if err != nil || len(moved) > 0 {
		r.t.Fatal(err, moved)
	}
	return l
}

func (r *rig) closed(l *List) {
	r.t.Helper()
	if err := l.Close(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) refused(w Want, words ...string) {
	r.t.Helper()
	l, _, err := r.open(w)
	var refusal *identity.Refusal
	if !errors.As(err, &refusal) {
		if l != nil {
			_ = l.Close()
		}
		r.t.Fatalf("%v", err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			r.t.Errorf("%q is not in: %v", word, err)
		}
	}
}

// TestDisksThatAreNotMounted: the place of a disk that is missing is not taken for a new directory while partitions lie in it, whatever is there now;
// nor is the first directory, ever.
func TestDisksThatAreNotMounted(t *testing.T) {
	r := newRig(t)
	w := r.want("a", "b")
	l := r.started(w)
	if l.Home != l.All[0] || l.Metadata != l.Home || l.All[0].ID == l.All[1].ID || l.All[1].At != 1 {
		t.Fatalf("%+v", l)
	}
	b := l.All[1].ID
	r.closed(l)
	empty := func(name string) {
		t.Helper()
		if err := errors.Join(os.RemoveAll(filepath.Join(r.root, name)), os.Mkdir(filepath.Join(r.root, name), 0o700)); err != nil {
			t.Fatal(err)
		}
	}

	// Nothing is in b: an empty disk in its place is a new directory.
	empty("b")
	l = r.started(w)
	if l.All[1].Missing() || l.All[1].ID == b {
		t.Fatalf("%+v", l.All[1])
	}
	b = l.All[1].ID
	r.closed(l)

	r.apply(catalog.CreateTopic(catalog.TopicSpec{Name: "orders", ID: orders, Partitions: 2, ReplicationFactor: 1}))
	disk := filepath.Join(r.root, "b")
	if err := os.Rename(disk, disk+".disk"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		make func() error
		says string
	}{
		{"nothing", func() error { return nil }, "does not exist"},
		{"an empty directory", func() error { return os.Mkdir(disk, 0o700) }, "is its disk mounted?"},
		{"a file", func() error { return errors.Join(os.Remove(disk), os.WriteFile(disk, nil, 0o600)) }, "not a directory"},
	} {
		if err := c.make(); err != nil {
			t.Fatal(err)
		}
		l = r.started(w)
		d := l.All[1]
		if !d.Missing() || d.ID != b || len(l.All) != 2 || !strings.Contains(d.Fenced().Error(), c.says) || !strings.Contains(d.Fenced().Error(), disk) {
			t.Errorf("%s: %+v: %v", c.name, d, d.Fenced())
		}
		if got := r.machine.Image().Broker(node).Directory(b); got.State != placement.DirectoryOffline {
			t.Errorf("%s: the catalogue has %+v", c.name, got)
		}
		if l.Failed() != nil || l.Fenced() == nil {
			t.Errorf("%s: %v, %v", c.name, l.Failed(), l.Fenced())
		}
		r.closed(l)
	}
	// Another path does for another disk, and the old one stays known.
	l = r.started(r.want("a", "c"))
	if len(l.All) != 3 || !l.All[2].Missing() || l.All[2].ID != b || l.Of(b) != l.All[2] || l.All[1].Missing() {
		t.Fatalf("%+v", l.All)
	}
	r.closed(l)
	if err := errors.Join(os.Remove(disk), os.Rename(disk+".disk", disk)); err != nil {
		t.Fatal(err)
	}
	l = r.started(r.want("a", "c", "b"))
	if len(l.All) != 3 || l.Of(b) != l.All[2] || l.All[2].Missing() {
		t.Fatalf("%+v", l.All)
	}
	r.closed(l)

	empty("a")
	r.refused(w, "is the disk mounted?", filepath.Join(r.root, "a"), disk)
}

// TestWhatIsRefused: two that are one, and what is another's.
func TestWhatIsRefused(t *testing.T) {
	r := newRig(t)
	l := r.started(r.want("a", "b"))
	r.closed(l)
	r.refused(r.want("a", "b", "a"), "named twice")
	if err := os.Symlink(filepath.Join(r.root, "b"), filepath.Join(r.root, "link")); err != nil {
		t.Fatal(err)
	}
	r.refused(r.want("a", "b", "link"), "named twice")
	r.refused(r.want("b", "a"), "holds the metadata log", "metadata.log.dir")
	w := r.want("b", "a")
	w.Metadata = filepath.Join(r.root, "a")
	l = r.started(w)
	if l.Home != l.All[1] || l.Metadata != l.Home {
		t.Errorf("%+v", l)
	}
	r.closed(l)
	if err := os.CopyFS(filepath.Join(r.root, "copy"), os.DirFS(filepath.Join(r.root, "b"))); err != nil {
		t.Fatal(err)
	}
	r.refused(r.want("a", "b", "copy"), "one is a copy of the other")
	other := newRig(t)
	other.closed(other.started(other.want("x")))
	w = r.want("a", "b")
	w.Paths = append(w.Paths, other.want("x").Paths...)
	r.refused(w, "holds the metadata log")
	if err := os.RemoveAll(filepath.Join(other.root, "x", w.Folder)); err != nil {
		t.Fatal(err)
	}
	r.refused(w, "belongs to cluster")
	l = r.started(r.want("a", "b"))
	if _, _, err := r.open(r.want("a", "b")); !errors.Is(err, device.ErrLocked) {
		t.Errorf("a second process: %v", err)
	}
	r.closed(l)
}

// folder makes a partition's folder that says whose it is.
func (r *rig) folder(in, name string, id model.TopicID) {
	r.t.Helper()
	path := filepath.Join(r.root, in, name)
	text := "version: 0\ntopic_id: " + id.String() + "\n"
	if err := errors.Join(os.MkdirAll(path, 0o700), os.WriteFile(filepath.Join(path, "partition.metadata"), []byte(text), 0o600)); err != nil {
		r.t.Fatal(err)
	}
}

// TestFoldersElsewhere: the catalogue says where a partition is; a folder somewhere else counts where it is the only one and the partition's.
func TestFoldersElsewhere(t *testing.T) {
	r := newRig(t)
	l := r.started(r.want("a", "b"))
	a, b := l.All[0].ID, l.All[1].ID
	r.closed(l)
	r.apply(catalog.CreateTopic(catalog.TopicSpec{Name: "orders", ID: orders, Partitions: 2, ReplicationFactor: 1}))
	first := r.machine.Image().TopicByID(orders).Partition(0).DirectoryOn(node)
	if first != a || r.machine.Image().TopicByID(orders).Partition(1).DirectoryOn(node) != b {
		t.Fatal("the catalogue places otherwise")
	}
	r.folder("a", "orders-0", orders)
	r.folder("b", "orders-0", model.TopicID{6}) // of an earlier topic of this name
	l = r.started(r.want("a", "b"))
	r.closed(l)
	if _, err := os.Stat(filepath.Join(r.root, "b", "orders-0-stray")); err != nil {
		t.Error(err)
	}
	r.folder("b", "orders-0", orders)
	r.refused(r.want("a", "b"), "orders-0", filepath.Join(r.root, "a"), filepath.Join(r.root, "b"))
	if err := os.RemoveAll(filepath.Join(r.root, "a", "orders-0")); err != nil {
		t.Fatal(err)
	}
	l, moved, err := r.open(r.want("a", "b"))
	if err != nil || len(moved) != 1 || moved[0].To.ID != b || moved[0].Partition != (model.Partition{Topic: orders}) {
		t.Fatal(moved, err)
	}
	r.closed(l)
	// While the directory is missing that the partition is in, what lies elsewhere does not count, and what is on its way goes on waiting for it.
	if err := os.Rename(filepath.Join(r.root, "b"), filepath.Join(r.root, "b.disk")); err != nil {
		t.Fatal(err)
	}
	r.folder("a", "orders-1", orders)
	future, arrived := log.Future.Name("orders-1", orders), log.Arrived.Name("orders-1", orders)
	r.folder("a", future, orders)
	r.folder("a", arrived, orders)
	l = r.started(r.want("a", "b"))
	if !l.Of(b).Missing() {
		t.Error("b is there")
	}
	if len(l.Wishes) != 1 || l.Wishes[0].To.ID != a || l.Wishes[0].Partition != (model.Partition{Topic: orders, Index: 1}) {
		t.Errorf("on their way: %v", l.Wishes)
	}
	for _, name := range []string{"orders-1", future, arrived} {
		if _, err := os.Stat(filepath.Join(r.root, "a", name)); err != nil {
			t.Error(err)
		}
	}
	r.closed(l)
}

// TestJournalOfOneDirectory: a damaged journal takes its own directory out of service; that of the metadata log's ends the start.
func TestJournalOfOneDirectory(t *testing.T) {
	r := newRig(t)
	l := r.started(r.want("a", "b"))
	shards, err := shard.NewSet(1, clock.Real{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range l.All {
		d.Begin(journal.DefaultOptions(), shards)
		w, err := journal.Open(d.Dir, journal.DefaultOptions(), d.Found)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			buffer := journal.NewBuffer()
			buffer.Add(&journal.Entry{Kind: journal.Append, Partition: model.Partition{Topic: orders}, End: 1, Bytes: make([]byte, 100)})
			if _, err := w.Write([]*journal.Buffer{buffer}, 1); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(w.Close(), d.Journal.Stop()); err != nil {
			t.Fatal(err)
		}
	}
	if err := shards.Close(); err != nil {
		t.Fatal(err)
	}
	r.closed(l)
	spoil := func(in string) {
		t.Helper()
		name := filepath.Join(r.root, in, journal.Folder, "0000.journal")
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		raw[strings.LastIndex(string(raw[:strings.LastIndex(string(raw), "PNJ1")]), "PNJ1")+100] ^= 1 // in the last but one: what ends a journal is torn
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil("b")
	l = r.started(r.want("a", "b"))
	if l.All[0].Missing() || !l.All[1].Missing() || !strings.Contains(l.All[1].Fenced().Error(), "0000.journal") {
		t.Errorf("%v, %v", l.All[0].Fenced(), l.All[1].Fenced())
	}
	r.closed(l)
	spoil("a")
	r.refused(r.want("a", "b"), "0000.journal")
}

// TestMetadataLogApart: the metadata log may have a directory of its own; a start that does not know of it begins no other.
func TestMetadataLogApart(t *testing.T) {
	r := newRig(t)
	w := r.want("a", "b")
	w.Metadata = filepath.Join(r.root, "m")
	l := r.started(w)
	if l.Metadata == l.Home || l.Home != l.All[0] || len(l.All) != 2 {
		t.Errorf("%+v", l)
	}
	r.closed(l)
	r.apply(catalog.CreateTopic(catalog.TopicSpec{Name: "orders", ID: orders, Partitions: 2, ReplicationFactor: 1}))
	r.folder("b", "orders-1", orders)
	r.refused(r.want("a", "b"), "holds no metadata log", filepath.Join(r.root, "b"), "metadata.log.dir")
	one := r.want("b") // of which the catalogue knows that there are others
	one.Metadata = w.Metadata
	l = r.started(one)
	if len(l.All) != 2 || !l.All[1].Missing() || !l.Several(r.machine.Image()) {
		t.Errorf("%+v", l.All)
	}
	r.closed(l)
	r.closed(r.started(w))
}

// A directory that becomes full is told of once, and once more when it has room again.
func TestFullDirectoryIsToldOnce(t *testing.T) {
	r := newRig(t)
	l, _, err := r.open(r.want("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	var said strings.Builder
	l.log = slog.New(slog.NewTextHandler(&said, nil))
	for i, c := range []struct{ full, says bool }{{false, false}, {true, true}, {true, false}, {false, true}, {false, false}, {true, true}} {
		said.Reset()
		l.measured(l.All[0], c.full)
		level := "level=INFO"
		if c.full {
			level = "level=WARN"
		}
		if got := said.String(); strings.Contains(got, level) != c.says || strings.Contains(got, l.All[0].Name) != c.says || l.All[0].Full() != c.full {
			t.Errorf("look %d: %q", i, got)
		}
	}
	l.Measure() // nothing is kept free here, so nothing is full
	if l.All[0].Full() {
		t.Error("full without a reserve")
	}
}

// TestOnlyDirectoryLeavesLogDirs: what a node has in its only directory is not made anew in another because that one is named for the metadata log alone. The
// catalogue names no directory of a node that has always had one.
func TestOnlyDirectoryLeavesLogDirs(t *testing.T) {
	r := newRig(t)
	r.closed(r.started(r.want("a")))
	w := r.want("b")
	w.Metadata = filepath.Join(r.root, "a")
	r.apply(catalog.CreateTopic(catalog.TopicSpec{Name: "orders", ID: orders, Partitions: 2, ReplicationFactor: 1}))
	r.folder("a", "orders-1", orders)
	r.refused(w, "2 partitions", w.Metadata, "log.dirs")
	w.Paths = append(w.Paths, w.Metadata)
	l := r.started(w)
	if a := l.Of(r.machine.Image().TopicByID(orders).Partition(1).DirectoryOn(node)); a != l.Metadata {
		t.Errorf("the partitions are in %+v", a)
	}
	r.closed(l)
}

// TestMetadataLogOverALink: metadata.log.dir may lead to one of log.dirs by another name.
func TestMetadataLogOverALink(t *testing.T) {
	r := newRig(t)
	w := r.want("a", "b")
	if err := errors.Join(os.Mkdir(w.Paths[1], 0o700), os.Symlink(w.Paths[1], filepath.Join(r.root, "link"))); err != nil {
		t.Fatal(err)
	}
	w.Metadata = filepath.Join(r.root, "link")
	for range 2 {
		l := r.started(w)
		if len(l.All) != 2 || l.Metadata != l.All[1] || l.All[1].Name != w.Paths[1] {
			t.Errorf("%+v", l.All)
		}
		r.closed(l)
	}
}

// TestEmptiedMetadataLog: where nothing but the folder of the metadata log is left, a start begins none anew beside partitions, which it would set aside.
func TestEmptiedMetadataLog(t *testing.T) {
	r := newRig(t)
	w := r.want("a")
	l := r.started(w)
	r.apply(catalog.CreateTopic(catalog.TopicSpec{Name: "orders", ID: orders, Partitions: 1, ReplicationFactor: 1}))
	r.folder("a", "orders-0", orders)
	if err := l.All[0].WriteRecoveryPoints(nil, 1); err != nil {
		t.Fatal(err)
	}
	r.closed(l)
	folder := filepath.Join(r.root, "a", w.Folder)
	if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	r.refused(w, "holds no metadata log", "has partitions")
	if err := os.Remove(filepath.Join(r.root, "a", pointsFile)); err != nil {
		t.Fatal(err)
	}
	r.closed(r.started(w)) // a first start that was interrupted
}

// TestTheOnlyDirectoryWithoutMetadataLog: a node with one log directory begins no new metadata log beside the partitions that it has had, whose metadata log
// is in a directory that is not named any more, or lost; what a Kafka broker has left is nobody's yet.
func TestTheOnlyDirectoryWithoutMetadataLog(t *testing.T) {
	r := newRig(t)
	w := r.want("b")
	w.Metadata = filepath.Join(r.root, "m")
	l := r.started(w)
	r.closed(l)
	r.apply(catalog.CreateTopic(catalog.TopicSpec{Name: "orders", ID: orders, Partitions: 1, ReplicationFactor: 1}))
	r.folder("b", "orders-0", orders)
	l = r.started(w)
	if err := l.All[0].WriteRecoveryPoints(nil, 1); err != nil {
		t.Fatal(err)
	}
	r.closed(l)
	r.refused(r.want("b"), "holds no metadata log", "metadata.log.dir")
	if _, err := os.Stat(filepath.Join(r.root, "b", "orders-0")); err != nil {
		t.Error(err)
	}
	r.closed(r.started(w))
	if err := os.Remove(filepath.Join(r.root, "b", pointsFile)); err != nil {
		t.Fatal(err)
	}
	r.closed(r.started(r.want("b"))) // a first start that was interrupted
}
