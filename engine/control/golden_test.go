package control_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinion/disk/device"
	"pinion/engine/catalog"
	"pinion/engine/control"
	"pinion/engine/model"
)

var rewrite = flag.Bool("rewrite", false, "write the golden directory of the current format anew")

// golden is a metadata folder as format 1 wrote it: a snapshot, and a segment of commands above it. It is never
// rewritten after a release; a later format gets a directory beside it.
const golden = "testdata/golden-1"

// TestGolden opens the golden directory: what an older build wrote stays readable for ever.
func TestGolden(t *testing.T) {
	if *rewrite {
		writeGolden(t)
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, control.Folder), os.DirFS(filepath.Join(golden, control.Folder))); err != nil {
		t.Fatal(err)
	}
	d, err := device.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(d, nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join(golden, "image.txt"))
	if err != nil {
		t.Fatal(err)
	}
	// The directory is from before nodes had several log directories: it names none.
	none := strings.NewReplacer(" Directory:"+model.DirectoryID{}.String(), "", " Directories:[]", "")
	if got := none.Replace(dump(c.Image())); got != string(want) {
		t.Fatalf("the golden directory reads as\n%s\nwant\n%s", got, want)
	}
	s := serve(c)
	if r := s.do(catalog.AllocateProducerIDs(3)); r.FirstProducerID != 2000 {
		t.Errorf("producer ids go on at %d, want 2000", r.FirstProducerID)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
}

func writeGolden(t *testing.T) {
	if err := os.RemoveAll(golden); err != nil {
		t.Fatal(err)
	}
	d, err := device.OpenDir(golden)
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, d, func(o *control.Options) { o.SnapshotEntries = 12 })
	for round := range 2 { // the first round ends up in the snapshot, most of the second in the segment
		id := model.TopicID{9, 0, byte(round + 1)}
		name := []string{"first.topic", "second"}[round]
		for _, cmd := range []catalog.Command{
			register(int32(round + 2)),
			catalog.CreateTopic(catalog.TopicSpec{Name: name, ID: id, Partitions: 3, ReplicationFactor: 1, Configs: map[string]string{"retention.ms": "1"}}),
			create(round),
			catalog.CreatePartitions(name, 5, nil),
			catalog.SetTopicConfigs(name, []catalog.ConfigChange{{Key: "segment.bytes", Value: "1000"}}, false),
			catalog.SetBrokerConfigs(-1, []catalog.ConfigChange{{Key: "round", Value: name}}, false),
			catalog.MoveReplica(model.Partition{Topic: id, Index: 4}, 3, model.ShardID(round), true),
			catalog.DeleteTopic("", model.TopicID{1, 0, byte(round)}),
			catalog.AllocateProducerIDs(3),
		} {
			if r := s.do(cmd); r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	im := s.Image()
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(golden, "image.txt"), []byte(dump(im)), 0o600); err != nil {
		t.Fatal(err)
	}
}
