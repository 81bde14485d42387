package api

import (
	"slices"
	"time"

	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/quota"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// Fetch (key 1) returns record batches from an offset on, from many partitions, waiting up to max wait for min bytes. The
// answer is cut by KIP-74: partitions in request order, the first that has anything may exceed every limit with its first batch.
// Version 7 adds sessions (KIP-227), 9 the leader epoch the client knows (KIP-320), 11 racks (KIP-392), 12 divergence
// (KIP-595) and is flexible, 13 topic ids, 15 moves the replica id into a tag, 16 leader hints (KIP-951).
//
// The home shard holds the poll. It asks each owner once; an owner answers with spans, or with a waiter that stays with it. When
// all have answered, or the deadline passes, home cuts in request order and writes; spans go home when the last byte has left.

// fetchCall is one Fetch request on its home shard.
type fetchCall struct {
	desk     *Desk
	request  *conn.Request
	client   *client
	version  int16
	corr     int32
	bytesMax int64
	bytesMin int64
	deadline clock.Mono
	wait     bool
	isolated bool // read_committed
	failed   bool // some part has an answer that ends the poll at once
	parts    []fetchPart
	legs     []*fetchLeg // by owner; nil where the request needs none
	away     int         // legs whose answer is awaited
	final    bool        // the round under way is the last
	late     bool        // past the deadline: only answers already asked for are awaited
	over     bool        // answered; legs find their own way home
	timer    shard.Timer
	head     wire.FetchHead
	session  *session
	reserved int64
	next     *fetchCall
}

// fetchPart is one partition of the answer, in request order.
type fetchPart struct {
	topic *placement.Topic // nil if unknown
	name  string           // of an unknown topic
	id    model.TopicID
	index int32
	leg   int32 // owner whose leg holds the answer, or -1: code says why
	at    int32 // place in that leg's ask
	code  wire.ErrorCode
	entry *sessionPart // of an incremental fetch
	bytes int          // after the cut
	mute  bool         // an incremental answer leaves it out
}

const (
	fetchPartsMax  = 200_000 // partitions and topics of one request; what they need is also charged to the parked budget
	fetchPartBytes = 512     // what one costs here, roughly
	// patience is how long a fetch gives an owner that does not answer, beyond what it wants to wait for bytes.
	patience = time.Second
	waitMin  = 100 * time.Millisecond
	// pollMax is the longest a fetch is held, whatever the client says: only the answer shows whether it is still there.
	pollMax = 5 * time.Minute
)

func (d *Desk) fetchRequest(t *shard.Turn, r *conn.Request) {
	v := &d.fetch
	err := v.Reset(r.Version, r.Body)
	parts, topics := 0, 0
	if err == nil {
		parts, topics, err = v.Check()
	}
	if err != nil || parts+topics > fetchPartsMax {
		d.malformed(t, r, err)
		return
	}
	c := d.takeFetch()
	c.request, c.version, c.corr = r, r.Version, r.Correlation
	c.client = r.Conn().Attachment().(*client)
	c.bytesMax = int64(min(v.MaxBytes, d.node.Broker.Now().FetchBytesMax))
	if q := d.quotaOf(r); q != nil {
		c.bytesMax = q.Most(d.node.Book, quota.Fetch, c.bytesMax)
	}
	c.bytesMin = min(int64(max(v.MinBytes, 0)), c.bytesMax) // as Kafka
	c.isolated = v.Isolation == 1
	wait := min(time.Duration(max(v.MaxWaitMs, 0))*time.Millisecond, pollMax)
	c.wait = wait > 0 && c.bytesMin > 0
	code := d.fetchOpen(t, c, v)
	if code != wire.CodeNone {
		d.count(code)
		c.head.Code = code
		c.respond(t)
		return
	}
	c.reserved = int64(len(c.parts)) * fetchPartBytes
	if !d.parked.Reserve(c.reserved) {
		// Too many partitions are being waited for on this shard: an empty answer keeps the client going and costs nothing.
		c.reserved = 0
		c.starve()
		c.respond(t)
		return
	}
	r.FreeBody(t)
	if wait == 0 {
		wait, c.late = patience, true
	}
	c.deadline = t.Now().Mono.Add(max(wait, waitMin))
	c.wait = c.wait && !c.failed && len(c.parts) > 0
	if c.wait {
		c.deadline = t.Now().Mono.Add(wait)
	}
	t.Arm(&c.timer, c.deadline.Sub(t.Now().Mono), c)
	c.client.poll = c
	d.stats.Polls++
	c.takeUp(t)
	c.round(t, c.wait)
}

// starve turns every part into an empty answer.
func (c *fetchCall) starve() {
	for i := range c.parts {
		if p := &c.parts[i]; p.leg >= 0 {
			p.leg, p.code = -1, wire.CodeOffsetNotAvailable
		}
	}
	c.dropLegs()
}

func (c *fetchCall) dropLegs() {
	for i, leg := range c.legs {
		if leg != nil {
			c.desk.freeLeg(leg)
			c.legs[i] = nil
		}
	}
}

// addPart appends one partition to the answer and to its owner's ask.
func (d *Desk) addPart(t *shard.Turn, c *fetchCall, topic *placement.Topic, name string, id model.TopicID, p *wire.FetchPartition) *fetchPart {
	c.parts = append(c.parts, fetchPart{topic: topic, name: name, id: id, index: p.Index, leg: -1})
	part := &c.parts[len(c.parts)-1]
	if topic == nil {
		part.refuse(c, byID(wire.CodeUnknownTopicOrPartition, c.version >= 13))
		return part
	}
	if !d.allowed(c.request, opRead, onTopic, topic.Name) {
		part.refuse(c, wire.CodeTopicAuthorizationFailed)
		return part
	}
	set, owner, code := d.reach(c.request, topic, p.Index)
	if code != partition.OK {
		part.refuse(c, partitionError(code))
		return part
	}
	leg := c.legs[owner]
	if leg == nil {
		leg = d.takeLeg(t, c, owner, set)
		c.legs[owner] = leg
	}
	part.leg, part.at = int32(owner), int32(len(leg.ask.Parts))
	leg.ask.Parts = append(leg.ask.Parts, partition.FetchPart{FetchWant: partition.FetchWant{
		Partition:   model.Partition{Topic: topic.ID, Index: p.Index},
		From:        p.Offset,
		BytesMax:    max(p.MaxBytes, 0),
		Epoch:       max(p.CurrentEpoch, model.NoEpoch), // any negative epoch is none, as in Kafka
		LastFetched: max(p.LastFetchedEpoch, model.NoEpoch),
	}})
	return part
}

func (p *fetchPart) refuse(c *fetchCall, code wire.ErrorCode) {
	p.code, c.failed = code, true
	c.desk.stats.FetchFailed++
	c.desk.count(code)
}

// round asks every owner. With wait, an owner that has too little keeps a waiter.
func (c *fetchCall) round(t *shard.Turn, wait bool) {
	c.final = !wait
	have := int64(0)
	legs := int64(0)
	for _, leg := range c.legs {
		if leg != nil {
			have += leg.bytes
			legs++
		}
	}
	// If the whole lacks n bytes, some owner must come to lack less than n/legs: each waits for its share, so that no wake-up
	// is missed and none comes without progress.
	share := int64(1)
	if legs > 0 {
		share = max(1, (c.bytesMin-have+legs-1)/legs)
	}
	c.away = 1
	for _, leg := range c.legs {
		if leg == nil || leg.state != legIdle {
			continue
		}
		c.away++
		leg.post(t, wait, leg.bytes+share)
	}
	c.home(t)
}

// home counts one answer; the last one of a round decides.
func (c *fetchCall) home(t *shard.Turn) {
	c.away--
	if c.over {
		return
	}
	if c.away > 0 {
		c.hurry()
		return
	}
	var bytes int64
	unleased, failed := false, c.failed
	for _, leg := range c.legs {
		if leg == nil {
			continue
		}
		bytes += leg.bytes
		unleased = unleased || leg.state != legHeld && leg.bytes > 0
		failed = failed || leg.failed
	}
	enough := bytes >= c.bytesMin || failed || !c.wait
	switch {
	case c.final || enough && !unleased:
		c.respond(t)
	case enough:
		c.finish(t)
	case c.waiting():
		// A waiter or the deadline goes on from here.
	default:
		c.again(t)
	}
}

// hurry tells owners that have not answered yet that there is something to answer with as soon as they have.
func (c *fetchCall) hurry() {
	if !slices.ContainsFunc(c.legs, func(leg *fetchLeg) bool { return leg != nil && leg.state == legHeld }) {
		return
	}
	for _, leg := range c.legs {
		if leg != nil && leg.state == legAsked {
			leg.ask.Hurry.Store(true)
		}
	}
}

// waiting reports whether a waiter stays with every owner. One that has none, because it answered with bytes, would add bytes that nobody
// hears of.
func (c *fetchCall) waiting() bool {
	for _, leg := range c.legs {
		if leg != nil && leg.state != legWaiting {
			return false
		}
	}
	return true
}

// again releases what is on loan and asks anew: somebody has more, but not enough yet.
func (c *fetchCall) again(t *shard.Turn) {
	c.settle(t, c.wait && t.Now().Mono < c.deadline)
}

// finish ends the waiting: everyone is asked for what there is.
func (c *fetchCall) finish(t *shard.Turn) { c.settle(t, false) }

// settle brings every leg home, then starts the next round.
func (c *fetchCall) settle(t *shard.Turn, wait bool) {
	c.final = !wait
	c.away = 1
	for _, leg := range c.legs {
		if leg != nil && leg.takeBack(t) {
			c.away++
		}
	}
	c.recalled(t)
}

// recalled counts one leg that is home; the last one starts the next round.
func (c *fetchCall) recalled(t *shard.Turn) {
	c.away--
	if c.away == 0 && !c.over {
		c.round(t, !c.final)
	}
}

// Fire is the deadline.
func (c *fetchCall) Fire(t *shard.Turn, _ *shard.Timer) {
	if c.over {
		return
	}
	if c.away > 0 {
		// Some owner is behind. Without its answer all there is to say of its partitions is an error, which clients show to their
		// users, so it gets more time; but not for ever, as the others' data wait with it.
		if c.late {
			c.respond(t)
			return
		}
		c.late, c.wait = true, false
		t.Arm(&c.timer, patience, c)
		return
	}
	for _, leg := range c.legs {
		if leg != nil && leg.bytes > 0 {
			c.late = true
			c.finish(t)
			// Even the last round has a limit.
			t.Arm(&c.timer, patience, c)
			return
		}
	}
	c.respond(t)
}

// respond fixes the answer and hands it to the connection.
func (c *fetchCall) respond(t *shard.Turn) {
	c.over = true
	if client := c.client; client.poll == c {
		client.poll = nil
		c.desk.stats.Polls--
	}
	t.Disarm(&c.timer)
	c.detach(t)
	c.cut()
	c.spend(t)
	if c.session != nil {
		c.session.answer(c)
	}
	c.desk.stats.Fetched += uint64(len(c.parts))
	for _, leg := range c.legs {
		if leg != nil && leg.state == legHeld {
			c.countErrors(leg)
		}
	}
	c.request.Done(t, c)
}

// detach lets go of legs that are under way: their asks belong to somebody else until they are home, and by then the answer may
// still be leaving. They free themselves.
func (c *fetchCall) detach(t *shard.Turn) {
	for i, leg := range c.legs {
		if leg != nil && leg.away() {
			leg.abandon(t)
			c.legs[i] = nil
		}
	}
}

func (c *fetchCall) countErrors(leg *fetchLeg) {
	for i := range leg.ask.Parts {
		if code := leg.ask.Parts[i].Code; code != partition.OK {
			c.desk.stats.FetchFailed++
			c.desk.count(partitionError(code))
		}
	}
}

// answer returns the owner's answer for a part, or nil if there is none (yet).
func (c *fetchCall) answer(p *fetchPart) *partition.FetchFound {
	if p.leg < 0 {
		return nil
	}
	leg := c.legs[p.leg]
	if leg == nil {
		return nil
	}
	return leg.said(p.at)
}

// cut applies KIP-74: in request order, the first partition with anything may exceed the limits with its first batch, every
// other gives what fits the rest, or nothing if not even its first batch does.
func (c *fetchCall) cut() {
	left := c.bytesMax
	first := true
	for i := range c.parts {
		p := &c.parts[i]
		p.bytes = 0
		a := c.answer(p)
		if a == nil || !a.Leased {
			continue
		}
		limit := min(int64(c.legs[p.leg].ask.Parts[p.at].BytesMax), left)
		n := min(int64(a.Span.Len), limit)
		if int64(a.Span.First) > limit {
			if !first {
				continue
			}
			n = int64(a.Span.First)
		}
		first = false
		p.bytes = int(n)
		left = max(0, left-n)
	}
}
