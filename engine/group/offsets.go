package group

import (
	"cmp"
	"slices"
	"unicode/utf16"

	"pinion/engine/model"
	"pinion/engine/mutant"
)

// commit stores offsets.
func (c *Coordinator) commit(r *Commit) {
	g := c.groups[r.Group]
	switch {
	case g == nil && r.Generation >= 0:
		c.answer(r, NotFound)
		return
	case !c.roomFor(r):
		c.answer(r, NotAvailable)
		return
	case g == nil:
		g = c.create(r.Group) // of somebody who uses groups for their offsets alone
	}
	if code := c.mayCommit(g, r); code != OK {
		c.answer(r, code)
		return
	}
	n := r.partitions()
	keys, values, records := make([]offsetKey, 0, n), make([]committed, 0, n), make([]Record, 0, n)
	for i := range r.Topics {
		topic := &r.Topics[i]
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			if c.wordy(p.Metadata) {
				p.Code = MetadataTooLarge
				continue
			}
			v := committed{offset: p.Offset, epoch: p.Epoch, metadata: p.Metadata, at: int64(c.now.Wall), expires: -1, topic: topic.ID}
			if r.Retention >= 0 {
				v.expires = v.at + r.Retention.Milliseconds()
			}
			key := offsetKey{topic.Topic, p.Partition}
			keys, values = append(keys, key), append(values, v)
			records = append(records, offsetRecord(g.id, key, &v))
		}
	}
	if len(records) == 0 {
		c.answer(r, OK)
		return
	}
	if mutant.On(mutant.GroupCommitEarly) {
		for i, key := range keys {
			g.offsets[key] = values[i]
		}
		c.answer(r, OK)
	}
	a := c.append(g, records, func(code Code) {
		if code == OK {
			for i, key := range keys {
				g.offsets[key] = values[i]
			}
			c.stats.Commits += uint64(len(records))
		} else {
			c.forgetNothing(g)
		}
		c.answer(r, code)
	})
	a.keys, a.values = keys, values
}

// forgetNothing removes a group of which nothing is left but its name, because what would have made it was not stored.
func (c *Coordinator) forgetNothing(g *group) {
	if g.state == Empty && g.kind == "" && !g.recorded && len(g.offsets)+len(g.storing)+len(g.pending)+len(g.fetches) == 0 {
		c.forget(g)
	}
}

// partitions is how many offsets a commit names.
func (r *Commit) partitions() (n int) {
	for i := range r.Topics {
		n += len(r.Topics[i].Partitions)
	}
	return n
}

// mayCommit says whether the group takes a commit, which is as good as a heartbeat.
func (c *Coordinator) mayCommit(g *group, r *Commit) Code {
	switch {
	case g.state == Dead:
		return NotAvailable
	case r.Generation < 0 && g.state == Empty:
		return OK
	case r.Generation < 0 && r.Member == "" && r.Instance == nil:
		return UnknownMember // its members decide what it has read
	}
	m, code := g.validate(r.Member, r.Instance)
	switch {
	case code != OK:
		return code
	case r.Generation != g.generation && !mutant.On(mutant.GroupCommitUnfenced):
		return IllegalGeneration
	case g.state == Completing:
		return Rebalancing
	}
	c.expectHeartbeat(g, m, m.session)
	return OK
}

// wordy reports whether a commit's own words are more than is allowed, in the units Kafka counts: those of UTF-16.
func (c *Coordinator) wordy(metadata string) bool {
	if len(metadata) <= c.config.MetadataMax {
		return false
	}
	n := 0
	for _, r := range metadata {
		n += max(1, utf16.RuneLen(r))
	}
	return n > c.config.MetadataMax
}

// fetch reads offsets. With Stable it waits for what is being stored.
func (c *Coordinator) fetch(r *Fetch) {
	g := c.groups[r.Group]
	if g != nil && r.Stable && len(g.storing) > 0 {
		g.fetches = append(g.fetches, waitingFetch{r, c.appended})
		return
	}
	c.fill(g, r)
	c.answer(r, OK)
}

// letFetchesGo answers who waited for the group's records to be durable.
func (c *Coordinator) letFetchesGo(g *group) {
	waiting := g.fetches
	g.fetches = nil
	for _, w := range waiting {
		if len(g.storing) > 0 && g.storing[0].number <= w.after {
			g.fetches = append(g.fetches, w)
			continue
		}
		c.fill(c.groups[w.fetch.Group], w.fetch)
		c.answer(w.fetch, OK)
	}
}

// fill sets the offsets a fetch asks for; those of a group that is not there are not there either.
func (c *Coordinator) fill(g *group, r *Fetch) {
	if r.All {
		r.Topics = nil
		if g != nil {
			r.Topics = g.allOffsets()
		}
	}
	for i := range r.Topics {
		topic := &r.Topics[i]
		for j := range topic.Partitions {
			p := &topic.Partitions[j]
			p.Offset, p.Epoch, p.Metadata, p.Committed = -1, -1, "", model.TopicID{}
			if g == nil || g.state == Dead {
				continue
			}
			v, ok := g.offsets[offsetKey{topic.Topic, p.Partition}]
			if ok && (topic.ID.IsZero() || v.topic.IsZero() || topic.ID == v.topic) {
				p.Offset, p.Epoch, p.Metadata, p.Committed = v.offset, v.epoch, v.metadata, v.topic
			}
		}
	}
}

// keys of the offsets, in order.
func (g *group) keys() []offsetKey {
	keys := make([]offsetKey, 0, len(g.offsets))
	for key := range g.offsets {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b offsetKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
	})
	return keys
}

func (g *group) allOffsets() []FetchTopic {
	var topics []FetchTopic
	for _, key := range g.keys() {
		if n := len(topics); n == 0 || topics[n-1].Topic != key.topic {
			topics = append(topics, FetchTopic{Topic: key.topic})
		}
		last := &topics[len(topics)-1]
		last.Partitions = append(last.Partitions, FetchPartition{Partition: key.partition})
	}
	return topics
}

// deleteOffsets forgets offsets of topics that no member reads.
func (c *Coordinator) deleteOffsets(r *DeleteOffsets) {
	g := c.groups[r.Group]
	switch {
	case r.Group == "":
		c.answer(r, InvalidGroup)
		return
	case g == nil || g.state == Dead:
		c.answer(r, NotFound)
		return
	case g.state != Empty && g.kind != consumers:
		c.answer(r, NonEmpty)
		return
	}
	var keys []offsetKey
	for i := range r.Topics {
		topic := &r.Topics[i]
		if g.reads(topic.Topic) {
			topic.Code = Subscribed
			continue
		}
		for _, p := range topic.Partitions {
			keys = append(keys, offsetKey{topic.Topic, p})
		}
	}
	c.removeOffsets(g, keys, nil, func(code Code) { c.answer(r, code) })
}

// removalBytesMax is how much of keys one batch of removals has: far below what a batch of the topic may be, and above what most groups have.
const removalBytesMax = 256 << 10

// removeOffsets stores that offsets are gone, after which they are. What is being committed to them comes first in the log, so it goes too. What is more
// than a batch has goes in several, of which some may be stored and others not.
func (c *Coordinator) removeOffsets(g *group, keys []offsetKey, more []Record, done func(code Code)) {
	var records []Record
	storing, outcome := len(g.storing) > 0, OK
	away, first, bytes := 0, 0, 0
	send := func(keys []offsetKey) {
		away++
		c.append(g, records, func(code Code) {
			if code == OK {
				for _, key := range keys {
					delete(g.offsets, key)
				}
			} else {
				outcome = code
			}
			if away--; away == 0 {
				done(outcome)
			}
		})
	}
	for i, key := range keys {
		if _, ok := g.offsets[key]; !ok && !storing {
			continue
		}
		r := Record{Key: appendOffsetKey(nil, g.id, key)}
		if bytes += len(r.Key); bytes > removalBytesMax && len(records) > 0 {
			send(keys[first:i])
			records, first, bytes = nil, i, len(r.Key)
		}
		records = append(records, r)
	}
	if records = append(records, more...); len(records) == 0 {
		done(OK)
		return
	}
	send(keys[first:])
}
