package coordinator

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"pinion/disk/batch"
	"pinion/disk/codec"
	"pinion/disk/faulty"
	"pinion/engine/group"
	"pinion/engine/shard"
)

// transactional builds the batches of transactional producers, each with its next sequence.
type transactional map[int64]int32

func (p transactional) batch(producer int64, records ...record) []byte {
	b := batch.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional = producer, 0, p[producer], true
	p[producer] += int32(len(records))
	return built(b, records...)
}

// end is the marker that ends a transaction. Fixed by the protocol: a version and a type, then a version and the coordinator's epoch.
func (p transactional) end(producer int64, kind uint16) []byte {
	return p.marker(producer, []byte{0, 0, byte(kind >> 8), byte(kind)})
}

// marker is one with any key. It has a sequence, which markers have not, so that the partition takes it from us.
func (p transactional) marker(producer int64, key []byte) []byte {
	b := batch.NewBuilder()
	b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional, b.Control = producer, 0, p[producer], true, true
	p[producer]++
	return built(b, record{key, make([]byte, 6)})
}

const (
	abort  = 0
	commit = 1
)

// What a coordinator knows after it has read a log.
func TestLoad(t *testing.T) {
	of := func(offset int64) record { return offsetOf("g", "topic", offset) }
	p := transactional{}
	for _, c := range []struct {
		name    string
		batches [][]byte
		want    int64 // offset of g; -1: none
		says    string
	}{
		{"nothing", nil, -1, ""},
		{"one", [][]byte{plain(of(5))}, 5, "records=1"},
		{"the last one counts", [][]byte{plain(of(5), of(7)), plain(of(6))}, 6, "records=3"},
		{"a tombstone", [][]byte{plain(of(5)), plain(tombstone("g", "topic"))}, -1, ""},
		{"a tombstone of nothing", [][]byte{plain(tombstone("g", "topic")), plain(of(5))}, 5, ""},
		{"a tombstone of another topic", [][]byte{plain(of(5), tombstone("g", "other"))}, 5, ""},
		{"committed", [][]byte{p.batch(1, of(5)), p.end(1, commit)}, 5, ""},
		{"aborted", [][]byte{plain(of(4)), p.batch(2, of(5)), p.end(2, abort)}, 4, ""},
		{"not ended", [][]byte{plain(of(4)), p.batch(3, of(5))}, 4, ""},
		{"another producer's end", [][]byte{plain(of(4)), p.batch(4, of(5)), p.end(40, commit)}, 4, ""},
		{"one transaction after another", [][]byte{p.batch(5, of(5)), p.end(5, abort), p.batch(5, of(6)), p.end(5, commit)}, 6, ""},
		{"two at once", [][]byte{p.batch(6, of(5)), p.batch(7, of(6)), p.end(6, commit), p.end(7, abort)}, 5, ""},
		// The record that lies behind the other is the later one, whichever transaction ended first; compaction keeps it and not the other.
		{"two at once that end the other way round", [][]byte{p.batch(8, of(5)), p.batch(9, of(6)), p.end(9, commit), p.end(8, commit)}, 6, ""},
		{"a plain one within a transaction", [][]byte{p.batch(10, of(5)), plain(of(6)), p.end(10, commit)}, 6, ""},
		{"a tombstone within a transaction", [][]byte{p.batch(11, of(5)), plain(tombstone("g", "topic")), p.end(11, commit)}, -1, ""},
		{"twice within a transaction", [][]byte{p.batch(12, of(5), of(6)), p.batch(12, of(7)), p.end(12, commit)}, 7, ""},
		{"another marker does not end a transaction", [][]byte{p.batch(13, of(5)), p.end(13, 2), p.end(13, commit)}, 5, ""},
		{"records of other kinds of groups", [][]byte{plain(of(5), record{[]byte{0, 3, 0, 1, 'g'}, []byte{0, 0}}, record{[]byte{0, 15}, nil}), plain(of(6))}, 6,
			"records of other kinds of groups are left as they are"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			for _, b := range c.batches {
				r.write(b)
			}
			r.load()
			if got := r.offset("g", "topic"); got != c.want {
				t.Errorf("offset %d, want %d; it said:\n%s", got, c.want, r.said.String())
			}
			if !strings.Contains(r.said.String(), c.says) {
				t.Errorf("it did not say %q:\n%s", c.says, r.said.String())
			}
			if code := r.commit("g", "topic", 100); code != group.OK {
				t.Fatalf("commit: code %d", code)
			}
			r.load()
			if got := r.offset("g", "topic"); got != 100 {
				t.Errorf("offset %d after a commit of 100", got)
			}
		})
	}
}

// Batches may be compressed with any codec, and be larger than what is read at once.
func TestLoadCompressed(t *testing.T) {
	for _, c := range []codec.Codec{codec.None, codec.Gzip, codec.Snappy, codec.LZ4, codec.Zstd} {
		t.Run(c.String(), func(t *testing.T) {
			r := newRig(t)
			const groups = 6000 // of some 60 bytes: more than loadBytes as they are
			b := batch.NewBuilder()
			b.Codec = c
			var records []record
			for i := range groups {
				records = append(records, offsetOf(fmt.Sprintf("group-%d", i), "topic", int64(i)))
			}
			raw := built(b, records...)
			if c == codec.None && len(raw) <= loadBytes {
				t.Fatalf("a batch of %d bytes is read at once", len(raw))
			}
			r.write(raw)
			r.write(plain(offsetOf("group-1", "topic", 1001)))
			r.load()
			for i, want := range map[int]int64{0: 0, 1: 1001, groups - 1: groups - 1} {
				if got := r.offset(fmt.Sprintf("group-%d", i), "topic"); got != want {
					t.Errorf("offset of group %d: %d, want %d", i, got, want)
				}
			}
		})
	}
}

// What cannot be read is refused, with the place in the log: offsets that are there are never taken for none.
func TestLoadRefuses(t *testing.T) {
	good := offsetOf("g", "topic", 5)
	future := append([]byte{}, good.value...)
	binary.BigEndian.PutUint16(future, 99)
	p := transactional{}
	for _, c := range []struct {
		name string
		raw  []byte
		says string
	}{
		{"no key", plain(record{nil, good.value}), "batch at offset 1: record at offset 1: key of 0 bytes"},
		{"half a key", plain(record{good.key[:5], good.value}), "record at offset 1: key of an offset"},
		{"half a key of a group", plain(record{[]byte{0, 2, 0, 5, 'g'}, []byte{}}), "record at offset 1: key of a group"},
		{"half a value", plain(good, record{good.key, good.value[:7]}), "record at offset 2: group g: offset"},
		{"an empty value", plain(record{good.key, []byte{}}), "record at offset 1: group g: offset"},
		{"a value of a later version", plain(record{good.key, future}), "record at offset 1: group g: offset of version 99"},
		{"half a group", plain(record{[]byte{0, 2, 0, 1, 'g'}, []byte{0, 3, 0}}), "record at offset 1: group g: group"},
		{"a marker that says nothing", p.marker(1, []byte{0, 0}), "record at offset 1: marker"},
		{"a broken record in a transaction that counts", nil, "group g: offset"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.write(plain(good))
			if c.raw != nil {
				r.write(c.raw)
			} else {
				r.write(p.batch(1, record{good.key, good.value[:7]}))
				r.write(p.end(1, commit))
			}
			r.load()
			r.refused(c.says)
		})
	}
}

// refused wants every request to be turned away, and words that say why.
func (r *rig) refused(says string) {
	r.t.Helper()
	if _, code := r.ask(func() group.Request { return &group.Fetch{Common: group.Common{Group: "g"}, All: true} }); code != group.NotCoordinator {
		r.t.Errorf("a fetch of what cannot be read: code %d, want %d", code, group.NotCoordinator)
	}
	if code := r.commit("g", "topic", 6); code != group.NotCoordinator {
		r.t.Errorf("a commit behind what cannot be read: code %d, want %d", code, group.NotCoordinator)
	}
	if said := r.said.String(); !strings.Contains(said, says) || !strings.Contains(said, "level=ERROR") {
		r.t.Errorf("it did not say %q:\n%s", says, said)
	}
}

const segment = "/00000000000000000000.log"

// A segment that does not read, or holds other bytes than were written, is refused as well.
func TestLoadOfUnreadableSegments(t *testing.T) {
	prepared := func(t *testing.T) *rig {
		r := newRig(t)
		r.write(plain(offsetOf("g", "topic", 5)))
		r.write(plain(offsetOf("g", "topic", 6)))
		return r
	}
	t.Run("a disk that does not read", func(t *testing.T) {
		r := prepared(t)
		r.loadUnread()
	})
	t.Run("other bytes", func(t *testing.T) {
		r := prepared(t)
		r.disk.Damage(Topic+"-0"+segment, func(b []byte) []byte {
			b[batch.HeaderSize+10] ^= 1
			return b
		})
		r.load()
		r.refused("batch at offset 0: its CRC is wrong")
	})
	t.Run("another length", func(t *testing.T) {
		r := prepared(t)
		r.disk.Damage(Topic+"-0"+segment, func(b []byte) []byte {
			binary.BigEndian.PutUint32(b[8:], 1<<30)
			return b
		})
		r.load()
		r.refused("offset 0")
	})
}

// Kafka's compaction may leave nothing up to the high watermark: what was read until there is all there is.
func TestLoadOfACompactedEnd(t *testing.T) {
	r := newRig(t)
	folder := Topic + "-0"
	if err := r.disk.Mkdir(folder); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{
		"/partition.metadata":       []byte("version: 0\ntopic_id: " + name.Topic.String() + "\n"),
		segment:                     plain(offsetOf("g", "topic", 5)),
		"/00000000000000000002.log": nil, // of a tombstone nothing is left
	} {
		if err := r.disk.Replace(folder+file, content); err != nil {
			t.Fatal(err)
		}
	}
	edit := r.image.Load().Edit()
	edit.SetConfigs(r.image.Load().TopicCalled(Topic), map[string]string{"cleanup.policy": "compact"})
	r.image.Store(edit.Freeze(2))
	r.load()
	if got := r.offset("g", "topic"); got != 5 {
		t.Errorf("offset %d", got)
	}
	if high := r.high(); high != 2 {
		t.Errorf("high watermark %d", high)
	}
}

// loadUnread has the coordinator read while the disk gives EIO for the segments.
func (r *rig) loadUnread() {
	r.t.Helper()
	r.disk.Fail(func(op faulty.Op, path string) error {
		if op == faulty.Read && strings.HasSuffix(path, segment) {
			return faulty.EIO
		}
		return nil
	})
	r.load()
	r.refused("input/output error")
}

// What did not read once is read when the disk does again.
func TestLoadGoesOn(t *testing.T) {
	r := newRig(t)
	r.write(plain(offsetOf("g", "topic", 5)))
	r.loadUnread()
	r.disk.Fail(nil)
	r.on(func(turn *shard.Turn) { // as after brokenRetry
		l := &r.set.seats[name.Index].loader
		turn.Arm(&l.again, 0, l)
	})
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		var st Stats
		if r.on(func(t *shard.Turn) { st = r.set.Stats(t) }); st.Loading == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("its groups are not served")
		}
	}
	if got := r.offset("g", "topic"); got != 5 {
		t.Errorf("offset %d", got)
	}
	if code := r.commit("g", "topic", 6); code != group.OK {
		t.Errorf("commit: code %d", code)
	}
}

// A full disk takes no commit, and says so; what was committed before is still known, and commits go on when there is room.
func TestFullDisk(t *testing.T) {
	r := newRig(t)
	r.load()
	if code := r.commit("g", "topic", 5); code != group.OK {
		t.Fatalf("commit: code %d", code)
	}
	r.load() // reads without writing
	r.disk.Limit(r.disk.Used())
	// What was reserved before is used up first.
	metadata := strings.Repeat("m", 4000)
	last, code := int64(5), group.OK
	for offset := int64(6); code == group.OK; offset++ {
		if offset > 100_000 {
			t.Fatal("the disk never fills up")
		}
		_, code = r.ask(func() group.Request {
			return &group.Commit{Common: group.Common{Group: "g"}, Generation: -1, Retention: -1,
				Topics: []group.CommitTopic{{Topic: "topic", Partitions: []group.CommitPartition{{Offset: offset, Epoch: -1, Metadata: metadata}}}}}
		})
		if code == group.OK {
			last = offset
		}
	}
	if code != group.NotAvailable {
		t.Errorf("a commit to a full disk: code %d, want %d", code, group.NotAvailable)
	}
	if got := r.offset("g", "topic"); got != last {
		t.Errorf("offset %d, and %d was the last that was stored", got, last)
	}
	r.load()
	if got := r.offset("g", "topic"); got != last {
		t.Errorf("offset %d after another start, and %d was the last that was stored", got, last)
	}
	r.disk.Limit(0)
	if code := r.commit("g", "topic", 200_000); code != group.OK {
		t.Errorf("a commit with room again: code %d", code)
	}
	r.load()
	if got := r.offset("g", "topic"); got != 200_000 {
		t.Errorf("offset %d after a commit with room again", got)
	}
}

// Commits go on where producers are refused because the disk is full but for its reserve.
func TestDiskFullButForItsReserve(t *testing.T) {
	const reserve = 64 << 20 // the journal takes its part
	r := newRig(t)
	r.load()
	if code := r.commit("g", "topic", 5); code != group.OK {
		t.Fatalf("commit: code %d", code)
	}
	r.disk.Limit(r.disk.Used() + reserve)
	r.disk.KeepFree(reserve)
	metadata := strings.Repeat("m", 4000)
	for i := range 200 {
		c := &group.Commit{Common: group.Common{Group: "g"}, Generation: -1, Retention: -1,
			Topics: []group.CommitTopic{{Topic: "topic", Partitions: []group.CommitPartition{{Offset: 6, Epoch: -1, Metadata: metadata}}}}}
		if code := r.begin(c).wait(r); code != group.OK {
			t.Fatalf("commit %d: code %d", i, code)
		}
	}
}

// What a batch of the topic may not hold is refused, as a producer's would be, and nothing of it is stored.
func TestTooLarge(t *testing.T) {
	r := newRig(t)
	r.load()
	large := func() group.Request {
		c := &group.Commit{Common: group.Common{Group: "g"}, Generation: -1, Retention: -1, Topics: []group.CommitTopic{{Topic: "topic"}}}
		for i := range int32(300) {
			c.Topics[0].Partitions = append(c.Topics[0].Partitions, group.CommitPartition{Partition: i, Offset: 5, Epoch: -1, Metadata: strings.Repeat("m", 4000)})
		}
		return c
	}
	if _, code := r.ask(large); code != group.Failed {
		t.Errorf("a commit of 1.2 MB: code %d, want %d", code, group.Failed)
	}
	if got := r.offset("g", "topic"); got != -1 {
		t.Errorf("offset %d of a commit that was refused", got)
	}
	listed := func() int {
		req, code := r.ask(func() group.Request { return &group.List{} })
		if code != group.OK {
			t.Fatalf("list: code %d", code)
		}
		return len(req.(*group.List).Groups)
	}
	if n := listed(); n != 0 {
		t.Errorf("%d groups of a commit that was refused", n)
	}
	if _, code := r.ask(large); code != group.Failed || listed() != 0 {
		t.Errorf("again: code %d, %d groups", code, listed())
	}
	if code := r.commit("g", "topic", 6); code != group.OK {
		t.Errorf("a commit after it: code %d", code)
	}
	r.load()
	if got := r.offset("g", "topic"); got != 6 {
		t.Errorf("offset %d after another start", got)
	}
}

// What is forgotten of a group may be more than a batch of the topic holds: it goes in several, with the group itself last.
func TestForgetsMoreThanABatchHolds(t *testing.T) {
	r := newRig(t)
	r.load()
	topic := strings.Repeat("t", 249)
	const topics, partitions = 5, 1000
	r.offset("g", topic) // everything is read
	for i := range topics {
		c := &group.Commit{Common: group.Common{Group: "g"}, Generation: -1, Retention: -1, Topics: []group.CommitTopic{{Topic: topic[1:] + strconv.Itoa(i)}}}
		for j := range int32(partitions) {
			c.Topics[0].Partitions = append(c.Topics[0].Partitions, group.CommitPartition{Partition: j, Offset: 5, Epoch: -1})
		}
		if code := r.begin(c).wait(r); code != group.OK {
			t.Fatalf("commit: code %d", code)
		}
	}
	if code := r.begin(&group.Delete{Common: group.Common{Group: "g"}}).wait(r); code != group.OK {
		t.Fatalf("delete: code %d", code)
	}
	for range 2 {
		list, code := r.ask(func() group.Request { return &group.List{} })
		if groups := list.(*group.List).Groups; code != group.OK || len(groups) != 0 {
			t.Errorf("after the group was deleted: code %d, groups %v", code, groups)
		}
		r.load()
	}
}
