package coordinator

import (
	"strings"
	"testing"
	"time"

	"pinion/engine/group"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// TestCommitsCountInTheOrderOfTheLog: a sync of the segment makes a commit durable that the journal still reads, and one behind it. The later stays what
// the group has read when the earlier comes home after it.
func TestCommitsCountInTheOrderOfTheLog(t *testing.T) {
	r := newRig(t)
	r.load()
	if code := r.commit("g", "topic", 1); code != group.OK {
		t.Fatalf("commit: code %d", code)
	}
	// wide is a commit of an offset of so many partitions, each with so many bytes of metadata.
	wide := func(offset int64, partitions int32, metadata int) *question {
		c := &group.Commit{Common: group.Common{Group: "g"}, Generation: -1, Retention: -1, Topics: []group.CommitTopic{{Topic: "topic"}}}
		for i := range partitions {
			c.Topics[0].Partitions = append(c.Topics[0].Partitions, group.CommitPartition{Partition: i, Offset: offset, Epoch: -1, Metadata: strings.Repeat("m", metadata)})
		}
		return r.begin(c)
	}
	held, open := r.holdJournal()
	earlier := wide(2, 10, 1000) // the journal takes it, and does not copy it
	<-held
	later := wide(3, 100, 1000) // a sync of its segment is awaited
	for end := time.Now().Add(patience); r.high() < 1+10+100; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("durable up to %d", r.high())
		}
	}
	close(open)
	for _, q := range []*question{earlier, later} {
		if code := q.wait(r); code != group.OK {
			t.Fatalf("commit: code %d", code)
		}
	}
	if got := r.offset("g", "topic"); got != 3 {
		t.Errorf("offset %d, and 3 was committed last", got)
	}
	r.load()
	if got := r.offset("g", "topic"); got != 3 {
		t.Errorf("offset %d after another start", got)
	}
}

// high is how far the partition is durable.
func (r *rig) high() (high model.Offset) {
	r.on(func(t *shard.Turn) {
		if _, highs := r.parts.Highs(t); len(highs) == 1 {
			high = highs[0]
		}
	})
	return high
}

// begin sends a request and does not wait for the answer.
func (r *rig) begin(req group.Request) *question {
	q := &question{done: make(chan struct{})}
	q.ask = Ask{Home: only, To: r.set, Caller: q, Partition: name, Request: req}
	r.on(func(t *shard.Turn) { t.Ask(only, &q.ask) })
	return q
}

// wait waits for the answer.
func (q *question) wait(r *rig) group.Code {
	r.t.Helper()
	select {
	case <-q.done:
	case <-time.After(patience):
		r.t.Fatal("no answer")
	}
	if q.ask.Code != group.OK {
		return q.ask.Code
	}
	return group.CodeOf(q.ask.Request)
}
