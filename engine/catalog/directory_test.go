package catalog

import (
	"fmt"
	"testing"

	"pinion/engine/model"
	"pinion/engine/placement"
)

func directoryID(n int) model.DirectoryID { return model.DirectoryID{0xd, byte(n)} }

// directories are log directories that take partitions.
func directories(numbers ...int) (all []placement.Directory) {
	for _, n := range numbers {
		all = append(all, placement.Directory{ID: directoryID(n), Path: fmt.Sprint("/", n)})
	}
	return all
}

// inDirectories counts the partitions of a node by directory.
func inDirectories(im *placement.Image, n model.NodeID) map[model.DirectoryID]int {
	counts := map[model.DirectoryID]int{}
	for tp := range im.Topics {
		for i := range tp.Partitions() {
			counts[tp.Partition(i).DirectoryOn(n)]++
		}
	}
	return counts
}

// TestDirectories tells a node's life: one directory, then two, one of them full, one of them gone.
func TestDirectories(t *testing.T) {
	r := cluster(t, 2, 2)
	create := func(n, partitions int) {
		t.Helper()
		nodes := make([][]model.NodeID, partitions)
		for i := range nodes {
			nodes[i] = []model.NodeID{1}
		}
		r.must(CreateTopic(TopicSpec{Name: fmt.Sprint("t", n), ID: topicID(n), Assignment: OnNodes(nodes...)}))
	}
	counts := func(want map[model.DirectoryID]int) {
		t.Helper()
		if got := inDirectories(r.Image(), 1); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v, want %v", got, want)
		}
		r.check()
	}
	create(1, 3)
	counts(map[model.DirectoryID]int{{}: 3})
	if snapshot := r.AppendSnapshot(nil); snapshot[0] != snapshotVersion {
		t.Errorf("a node with one directory needs a build that knows several: version %d", snapshot[0])
	}

	// What there is was in the directory of the metadata log, wherever that stands in the list. New partitions go where there are fewest.
	r.must(RegisterDirectories(1, directoryID(1), directories(2, 1)))
	counts(map[model.DirectoryID]int{directoryID(1): 3})
	create(2, 5)
	counts(map[model.DirectoryID]int{directoryID(1): 4, directoryID(2): 4})
	if got := r.Image().TopicCalled("t2").Partition(3).DirectoryOn(1); got != directoryID(2) {
		t.Errorf("of two with as many the first is taken: %s", got)
	}

	// A full one gets none while there is another.
	full := directories(2, 1)
	full[0].State = placement.DirectoryFull
	r.must(RegisterDirectories(1, directoryID(1), full))
	create(3, 2)
	counts(map[model.DirectoryID]int{directoryID(1): 6, directoryID(2): 4})
	full[1].State = placement.DirectoryOffline
	r.must(RegisterDirectories(1, directoryID(1), full))
	r.must(CreatePartitions("t3", 3, OnNodes([]model.NodeID{1})))
	counts(map[model.DirectoryID]int{directoryID(1): 6, directoryID(2): 5})

	// One that is named no more is offline, and forgotten when the last replica has left it.
	r.must(RegisterDirectories(1, directoryID(3), directories(3)))
	b := r.Image().Broker(1)
	if len(b.Directories) != 3 || b.Directory(directoryID(1)).State != placement.DirectoryOffline || b.Directory(directoryID(1)).Path != "/1" {
		t.Fatalf("%+v", b.Directories)
	}
	r.must(registration(1, 1, 9))
	if len(r.Image().Broker(1).Directories) != 3 {
		t.Fatal("a registration has forgotten the directories")
	}
	for _, n := range []int{1, 3} {
		r.must(DeleteTopic(fmt.Sprint("t", n), model.TopicID{}))
	}
	for i := range int32(5) {
		r.must(AssignDirectory(model.Partition{Topic: topicID(2), Index: i}, 1, directoryID(3)))
	}
	counts(map[model.DirectoryID]int{directoryID(3): 5})
	r.must(RegisterDirectories(1, directoryID(3), directories(3)))
	if b := r.Image().Broker(1); len(b.Directories) != 1 {
		t.Fatalf("%+v", b.Directories)
	}
	again, err := Restore(r.AppendSnapshot(nil))
	if err != nil || again.Hash() != r.Hash() {
		t.Fatalf("%v", err)
	}
}

func TestDirectoryRefusals(t *testing.T) {
	r := cluster(t, 2, 2)
	r.must(CreateTopic(TopicSpec{Name: "a", ID: topicID(1), Assignment: OnNodes([]model.NodeID{1})}))
	r.must(RegisterDirectories(1, directoryID(1), directories(1, 2)))
	p := model.Partition{Topic: topicID(1)}
	for _, row := range []struct {
		cmd  Command
		want Code
	}{
		{RegisterDirectories(7, directoryID(1), directories(1)), UnknownBroker},
		{RegisterDirectories(1, directoryID(3), directories(1)), InvalidRegistration},
		{RegisterDirectories(1, directoryID(1), directories(1, 1)), Malformed},
		{RegisterDirectories(1, model.DirectoryID{}, nil), InvalidRegistration},
		{AssignDirectory(model.Partition{Topic: topicID(9)}, 1, directoryID(1)), UnknownTopicID},
		{AssignDirectory(model.Partition{Topic: topicID(1), Index: 1}, 1, directoryID(1)), UnknownPartition},
		{AssignDirectory(p, 1, directoryID(3)), InvalidAssignment},
		{AssignDirectory(p, 2, directoryID(1)), InvalidAssignment},
		{AssignDirectory(p, 1, model.DirectoryID{}), InvalidAssignment},
	} {
		if result, _ := r.do(row.cmd); result.Err == nil || result.Err.Code != row.want {
			t.Errorf("%+v, want code %d", result, row.want)
		}
	}
}

// A cordoned directory gets new partitions only where nothing else could have them, and a node whose directories all are gets none. Builds of before that state
// existed stop at the first command that names it, and at a snapshot.
func TestCordonedDirectories(t *testing.T) {
	r := cluster(t, 2)
	some := directories(1, 2)
	r.must(RegisterDirectories(1, directoryID(1), some))
	some[0].State, some[1].State = placement.DirectoryCordoned, placement.DirectoryFull
	if cmd := RegisterDirectories(1, directoryID(1), some); cmd.Bytes()[0] != commandVersionCordoned {
		t.Errorf("version %d", cmd.Bytes()[0])
	}
	r.must(RegisterDirectories(1, directoryID(1), some))
	if version := r.AppendSnapshot(nil)[0]; version != snapshotVersionCordoned {
		t.Errorf("a snapshot of version %d", version)
	}
	r.check()
	r.must(CreateTopic(TopicSpec{Name: "a", ID: topicID(1), Partitions: 3, ReplicationFactor: 1}))
	if got := inDirectories(r.Image(), 1); got[directoryID(2)] != 3 {
		t.Errorf("%v", got)
	}
	some[1].State = placement.DirectoryOffline
	r.must(RegisterDirectories(1, directoryID(1), some))
	r.must(CreateTopic(TopicSpec{Name: "b", ID: topicID(2), Partitions: 1, ReplicationFactor: 1}))
	if got := inDirectories(r.Image(), 1); got[directoryID(1)] != 1 {
		t.Errorf("one that serves, rather than one that does not: %v", got)
	}
	some[1].State = placement.DirectoryCordoned
	r.must(RegisterDirectories(1, directoryID(1), some))
	for name, cmd := range map[string]Command{
		"chosen":  CreateTopic(TopicSpec{Name: "c", ID: topicID(3), Partitions: 1, ReplicationFactor: 1}),
		"by hand": CreateTopic(TopicSpec{Name: "c", ID: topicID(3), Assignment: OnNodes([]model.NodeID{1})}),
		"grown":   CreatePartitions("a", 4, nil),
	} {
		want := InvalidReplicationFactor
		if name == "by hand" {
			want = InvalidAssignment
		}
		if got, _ := r.do(cmd); got.Err == nil || got.Err.Code != want {
			t.Errorf("%s: %v", name, got.Err)
		}
	}
	r.check()
	some[0].State = placement.DirectoryOpen
	r.must(RegisterDirectories(1, directoryID(1), some[:1]))
	r.must(CreatePartitions("a", 4, nil))
}
