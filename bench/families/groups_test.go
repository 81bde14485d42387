package families

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	groupTopic   = "shared"
	groupRecords = 480
	groupTakes   = 40 // records one client takes at a time
)

// A group is handed from one client to the next: each goes on where the one before committed, so that no record is read twice. Then all of them
// are members of one group at the same time: between them they read everything.
func TestFamiliesShareAGroup(t *testing.T) {
	createTopic(t, groupTopic, partitions, nil)
	plainly := newClient(t, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression())) // kafkajs reads that
	if err := sendByFranzGo(testContext(t), plainly, groupTopic, 0, groupRecords); err != nil {
		t.Fatal(err)
	}
	var present []*family
	seen := map[[2]int64]string{}
	eachFamily(t, func(t *testing.T, f *family) {
		present = append(present, f)
		for _, at := range f.do(t, Command{Op: "take", Topic: groupTopic, Group: "handed on", Count: groupTakes}).Taken {
			if other, twice := seen[at]; twice {
				t.Errorf("%v was taken by %s before", at, other)
			}
			seen[at] = f.name
			tally.taken.Add(1)
		}
	})
	if t.Failed() || len(present) == 0 {
		return
	}
	committed := int64(0)
	for _, at := range offsetsOf(t, "handed on") {
		committed += at
	}
	if want := int64(len(present) * groupTakes); committed != want || int64(len(seen)) != want {
		t.Errorf("%d records are committed and %d were taken, want %d", committed, len(seen), want)
	}
	t.Run("together", func(t *testing.T) { takeTogether(t, present) })
}

// offsetsOf is what a group has committed, by partition.
func offsetsOf(t *testing.T, group string) map[int32]int64 {
	t.Helper()
	offsets, err := kadm.NewClient(newClient(t)).FetchOffsets(testContext(t), group)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[int32]int64{}
	for p, o := range offsets[groupTopic] {
		ends[p] = o.At
	}
	return ends
}

// takeTogether has all clients be members at once. A record may be handed out twice where a partition changed hands before its commit; none may be
// left out, so every offset below what is committed was taken by somebody.
func takeTogether(t *testing.T, present []*family) {
	const group = "together"
	var mu sync.Mutex
	taken := map[[2]int64]bool{}
	var members sync.WaitGroup
	for _, f := range present {
		if f.ownAssignor {
			continue
		}
		a, err := agentOf(f)
		if err != nil {
			t.Fatal(err)
		}
		members.Go(func() {
			answer, err := a.Do(Command{Op: "take", Topic: groupTopic, Group: group, Count: groupTakes})
			mu.Lock()
			defer mu.Unlock()
			if err != nil && f.cannotLead != "" && strings.Contains(err.Error(), f.cannotLead) {
				t.Logf("%s left out: as the leader it reads no subscription but of version 0: %v", f.name, err)
				return
			}
			if err != nil {
				t.Errorf("%s: %v", f.name, err)
				return
			}
			for _, at := range answer.Taken {
				taken[at] = true
				tally.taken.Add(1)
			}
		})
	}
	members.Wait()
	missing := ""
	for p, end := range offsetsOf(t, group) {
		for o := range end {
			if !taken[[2]int64{int64(p), o}] {
				missing += fmt.Sprintf(" %d@%d", p, o)
			}
		}
	}
	if missing != "" {
		t.Errorf("committed and taken by nobody:%s", missing)
	}
}
