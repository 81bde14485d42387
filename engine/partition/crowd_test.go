package partition

import (
	"testing"

	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// Polls that ask for everything, and give nothing back, get what the bound of open files allows and no errors; others are answered without
// bytes, appends go on, and when the spans come back the rest is there.
func TestReadersOfEverythingLeaveRoom(t *testing.T) {
	const count = 60
	r := newRigFiles(t, 8)
	topic := model.TopicID{7}
	r.create("wide", topic, count)
	wide := func(index int32) model.Partition { return model.Partition{Topic: topic, Index: index} }
	for i := range int32(count) {
		c := r.newAppend(&trace{}, "append", 0, batchOf(1, -1, 0))
		c.ask.Partition = wide(i)
		r.post(c)
		r.await(c.done, "append")
	}
	poll := func() (f *fetchCall, leased int) {
		f = r.newFetch(0, 0, make([]int32, count)...)
		for i := range f.ask.Parts {
			f.ask.Parts[i].Partition = wide(int32(i))
		}
		r.send(&f.ask)
		r.expect(f, "fetched")
		for i := range f.ask.Parts {
			part := &f.ask.Parts[i]
			if part.Code != OK || part.High != 1 {
				t.Fatalf("partition %d: code %d, high %d", i, part.Code, part.High)
			}
			if part.Leased {
				leased++
			}
		}
		return f, leased
	}
	within := func() {
		t.Helper()
		r.on(owner, func(*shard.Turn) {
			if open, most := r.set.files.Open(), log.MostOpen(8); open > most {
				t.Errorf("%d segments open, at most %d", open, most)
			}
		})
	}
	var polls []*fetchCall
	total := 0
	for range 8 {
		f, leased := poll()
		if len(polls) == 0 && leased == 0 {
			t.Fatal("the first poll gets nothing")
		}
		polls, total = append(polls, f), total+leased
		within()
	}
	if most := log.MostOpen(8); total > len(polls)*most || total == 0 {
		t.Fatalf("%d spans lent of at most %d segments", total, most)
	}
	for i := range int32(count) {
		c := r.newAppend(&trace{}, "append", 0, batchOf(1, -1, 0))
		c.ask.Partition = wide(i)
		r.post(c)
		r.await(c.done, "append while everything is lent")
		within()
	}
	for _, f := range polls {
		r.send((*Release)(&f.ask))
		r.expect(f, "released")
	}
	r.on(owner, func(*shard.Turn) {
		if r.set.files.Loans() == 0 {
			t.Error("nothing can be lent after everything came back")
		}
	})
}
