package partition

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"pinion/disk/faulty"
	"pinion/disk/journal"
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// second makes a set for the other shard.
func (r *rig) second() (s *Set) {
	r.on(home, func(t *shard.Turn) {
		s = NewSet(t, r.options)
		r.shards.Shard(home).AtEnd(s)
	})
	return s
}

// settled waits until partition 0 is open on that shard, or offline, and looks at it.
func (r *rig) settled(s *Set, look func(p *Partition)) {
	r.t.Helper()
	for end, done := time.Now().Add(patience), false; !done; {
		if time.Now().After(end) {
			r.t.Fatal("neither open nor offline")
		}
		r.on(home, func(t *shard.Turn) {
			p, _ := s.find(t, at(0))
			if done = p != nil && p.state != opening; done {
				look(p)
			}
		})
	}
}

// journaled is a node after a power cut: of five records that were acknowledged the journal alone has four, and nothing is open yet.
func journaled(t *testing.T) *rig {
	t.Helper()
	disk := faulty.New(1)
	configs := map[string]string{"pinion.durability": "fsync"}
	r := newRigOn(t, disk, 64, configs)
	r.fill(0, 1)
	r.on(owner, func(*shard.Turn) { // so that the folder has a durable name
		p := r.set.known(at(0))
		if w := p.log.SyncWork(); w != nil {
			w.Do()
			if err := p.log.Finish(w); err != nil {
				t.Error(err)
			}
		}
	})
	r.fill(0, 4)
	next := newRigOn(t, disk.Lost(2), 64, configs)
	if err := next.directory.ReadJournal(journal.DefaultOptions(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if tail := next.directory.Found.Tail(at(0)); tail == nil || len(tail.Appends) != 5 {
		t.Fatalf("%+v", tail)
	}
	return next
}

// A partition that damage took offline stays so on the shard it moves to: one that opened it without its recovery point would take the damage for
// the end of the log, and cut everything behind.
func TestDamagedLogKeepsItsRecoveryPointOnAnotherShard(t *testing.T) {
	r := newRig(t)
	r.fill(0, 6)
	points := Points(r.close(), r.directory)
	file := r.segment("orders-0")
	r.change(file, func(raw []byte) { clear(raw[len(raw)/2:]) })
	bad, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r.reopen(points)
	r.until("the damage is found", func(*shard.Turn) bool {
		p := r.set.known(at(0))
		return p != nil && p.state == failed
	})
	next := r.second()
	r.move(0, home)
	r.until("it is handed on", func(*shard.Turn) bool { return r.set.known(at(0)) == nil })
	r.settled(next, func(p *Partition) {
		var damage *log.Damage
		if p.state != failed || !errors.As(p.failure, &damage) {
			t.Errorf("open on the other shard, which begins at %d and ends at %d", p.log.Start(), p.log.End())
		}
	})
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, bad) {
		t.Errorf("the file has %d bytes, it had %d: %v", len(now), len(bad), err)
	}
}

// A partition that could not be brought together with the journal at the start stays offline on the shard it moves to: what the journal held of it is
// kept for the next start, and nothing may be written in its place.
func TestWhatTheJournalHoldsIsNotLostWithAHandOver(t *testing.T) {
	next := journaled(t)
	next.dir.fail(func(op, path string) error {
		if op == "list" && strings.HasPrefix(path, "orders-0") {
			return errBroken // too many open files, say
		}
		return nil
	})
	next.begin(map[model.Partition]model.Offset{at(0): 1})
	next.until("it is offline", func(*shard.Turn) bool { p := next.set.known(at(0)); return p != nil && p.state == failed })
	next.dir.fail(nil)
	err := next.options.Directories.Settle(next.directory, next.image.Load(), func(model.Partition) bool { return false }, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	next.on(owner, next.set.OpenRest)
	other := next.second()
	next.move(0, home)
	next.until("it is handed on", func(*shard.Turn) bool { return next.set.known(at(0)) == nil })
	next.settled(other, func(p *Partition) {
		if p.state == open {
			t.Errorf("open on the other shard, and ends at %d; acknowledged were 5 records", p.log.End())
		}
	})
}

// While the new owner recovers a log that was handed over, a checkpoint still knows from where on it has to be read.
func TestCheckpointDuringAnArrival(t *testing.T) {
	r := newRig(t)
	r.fill(0, 6)
	next := r.second()
	r.move(0, home)
	r.until("it is handed on", func(*shard.Turn) bool { return r.set.known(at(0)) == nil })
	r.dir.hold(only("list", "orders-0"))
	r.on(home, func(t *shard.Turn) { next.find(t, at(0)) })
	r.awaitHeld(1)
	points := maps.Collect(r.folders.Points(r.directory))
	r.on(home, func(t *shard.Turn) { maps.Copy(points, Points(next.RecoveryPoints(t), r.directory)) })
	if points[at(0)] != 6 {
		t.Errorf("a checkpoint has the points %v", points)
	}
	r.dir.open()
	r.settled(next, func(p *Partition) {
		if p.state != open {
			t.Errorf("not open: %v", p.failure)
		}
	})
}

// A replica that the catalogue moves while the sets of a node are told one after the other what is theirs, is opened with what the journal holds of it.
func TestMovedBetweenTheOpensOfTwoSets(t *testing.T) {
	next := journaled(t)
	place := func(to model.ShardID) {
		d := next.image.Load().Edit()
		topic := d.View().TopicByID(topicID)
		p := *topic.Partition(0)
		p.Replicas = []placement.Replica{{Node: 1, Shard: to}}
		d.SetPartition(topic, 0, &p)
		next.image.Store(d.Freeze(next.image.Load().Revision() + 1))
	}
	next.directory.Points, next.options.Folders = map[model.Partition]model.Offset{at(0): 1}, &Folders{}
	place(home)
	next.on(owner, func(t *shard.Turn) {
		next.set = NewSet(t, next.options)
		next.shards.Shard(owner).AtEnd(next.set)
	})
	other := next.second()
	image := next.image.Load()
	next.on(owner, func(t *shard.Turn) { next.set.Open(t, image) })
	place(owner) // another broker of the cluster was asked for that
	next.on(home, func(t *shard.Turn) { other.Open(t, image) })
	next.on(owner, next.set.CatchUp)
	next.on(home, other.CatchUp)
	p := next.opened(0)
	next.on(owner, func(*shard.Turn) {
		if p.log.End() != 5 {
			t.Errorf("the log ends at %d; acknowledged were 5 records", p.log.End())
		}
	})
}
