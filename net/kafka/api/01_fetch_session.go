package api

import (
	"math"
	"math/rand/v2"
	"time"

	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/shard"
	"pinion/net/kafka/wire"
)

// Incremental fetch sessions (KIP-227): the home shard remembers what a client fetches, so that a request names only what
// changed and a response only what is new. A session lives on the shard of the connection that used it last, and moves with it; on any
// other, its id is not found and the client starts a new one. Refusing to make a session (id 0) is always legal.

// sessions are those of one shard.
type sessions struct {
	byID  map[int32]*session
	max   int
	bytes int64 // what the sessions remember, roughly
	limit int64 // of bytes; one session may take a quarter
	last  int32 // last id given out
	step  int32
	first int32
	now   clock.Mono // of the request being served
}

// session is one client's remembered fetch.
type session struct {
	id    int32
	epoch int32      // of the next request
	named bool       // partitions were named by topic name (before version 13), not by id
	used  clock.Mono // last, for eviction
	fresh bool       // nothing was answered yet: the first answer is full
	owner *client
	share bool // other connections used it too
	bytes int64
	parts map[sessionKey]*sessionPart
	ring  sessionPart // list head: order of the next answer
}

// sessionKey names a partition as the client did.
type sessionKey struct {
	id    model.TopicID
	name  string
	index int32
}

// sessionPart is one remembered partition and what the client was last told of it.
type sessionPart struct {
	key        sessionKey
	ask        wire.FetchPartition
	high       model.Offset
	logStart   model.Offset
	prev, next *sessionPart
}

const (
	sessionNone    int32 = 0
	sessionInitial int32 = 0  // epoch: a full fetch that may open a session
	sessionFinal   int32 = -1 // epoch: a full fetch that closes it
	// sessionPartsMax keeps one client from filling a shard; a larger fetch goes without a session.
	sessionPartsMax = 20_000
	// sessionPartBytes is what a remembered partition takes without its name, measured.
	sessionPartBytes = 320
	// sessionRest is for how long a session was not used that makes room for another; Kafka's min.incremental.fetch.session.eviction.ms. Sessions in use
	// that took each other's places would cost their clients every other answer.
	sessionRest = 2 * time.Minute
	// sessionBytesMax bounds what the sessions of a shard remember, in bytes: a thousand sessions of a hundred partitions.
	sessionBytesMax = 32 << 20
)

func (s *sessions) init(slots int, bytes int64, id model.ShardID, shards int) {
	s.byID = make(map[int32]*session)
	s.max, s.limit = slots, bytes
	// Ids of different shards never meet, so a session asked for on the wrong shard is not found instead of being another's.
	s.step, s.first = int32(shards), int32(id)+1
	// They begin anywhere: a client that comes back after a restart with an id and an epoch it had must not find another's session there.
	s.last = s.first + s.step*rand.Int32N((math.MaxInt32-s.first)/s.step)
}

func (s *sessions) nextID() int32 {
	for {
		if s.last > math.MaxInt32-s.step {
			s.last = s.first
		}
		s.last += s.step
		if s.byID[s.last] == nil {
			return s.last
		}
	}
}

// touch notes that a session was used.
func (s *sessions) touch(x *session) { x.used = s.now }

// evict makes room by ending the session not used for longest, if it rests. Its client is told at its next fetch and starts over.
func (s *sessions) evict() bool {
	var oldest *session
	for _, x := range s.byID {
		if oldest == nil || x.used < oldest.used {
			oldest = x
		}
	}
	if oldest == nil || s.now.Sub(oldest.used) < sessionRest {
		return false
	}
	s.drop(oldest)
	return true
}

// drop forgets a session.
func (s *sessions) drop(x *session) {
	delete(s.byID, x.id)
	s.bytes -= x.bytes
	x.bytes = 0
}

// release hands out the session of a connection that leaves: nil if it is gone, or if a request of another connection may be using it.
func (s *sessions) release(id int32) *session {
	x := s.byID[id]
	if x == nil || x.share {
		return nil
	}
	delete(s.byID, id)
	s.bytes -= x.bytes
	return x
}

// adopt takes one in that another shard released, in the place of those that rest if need be. No other has its id (init), unless the ids of its
// first shard have come round.
func (s *sessions) adopt(x *session, now clock.Mono) {
	s.now = now
	if other := s.byID[x.id]; other != nil {
		s.drop(other)
	}
	for len(s.byID) >= s.max || s.bytes+x.bytes > s.limit {
		if !s.evict() {
			return
		}
	}
	s.byID[x.id] = x
	s.bytes += x.bytes
	s.touch(x)
}

// grow charges a session for what it is to remember besides, and ends those that rest if need be. It refuses what is too much for one.
func (s *sessions) grow(x *session, bytes int64) bool {
	if x.bytes+bytes > s.limit/4 {
		return false
	}
	for s.bytes+bytes > s.limit {
		if !s.evict() {
			return false
		}
	}
	x.bytes += bytes
	s.bytes += bytes
	return true
}

// fetchOpen fills the call with the partitions to ask for: those of the request, or of its session.
func (d *Desk) fetchOpen(t *shard.Turn, c *fetchCall, v *wire.FetchView) wire.ErrorCode {
	d.sessions.now = t.Now().Mono
	if c.version < 7 || v.SessionEpoch == sessionFinal || v.SessionEpoch == sessionInitial {
		if c.version >= 7 && v.SessionID != sessionNone {
			if x := d.sessions.byID[v.SessionID]; x != nil {
				d.sessions.drop(x)
			}
		}
		d.fetchFull(t, c, v)
		if c.version >= 7 && v.SessionEpoch == sessionInitial {
			d.sessionStart(c, v)
		}
		return wire.CodeNone
	}
	s := d.sessions.byID[v.SessionID]
	switch {
	case s == nil:
		return wire.CodeFetchSessionIDNotFound
	case s.epoch != v.SessionEpoch:
		return wire.CodeInvalidFetchSessionEpoch
	case s.named != (c.version < 13):
		return wire.CodeFetchSessionTopicIDError
	}
	s.epoch, s.share = nextEpoch(s.epoch), s.share || s.owner != c.client
	d.sessions.touch(s)
	if !d.sessionUpdate(s, v) {
		// It has become too large to be remembered: the client starts over, and goes without.
		if s.bytes > 0 {
			d.sessions.drop(s)
		}
		return wire.CodeFetchSessionIDNotFound
	}
	c.session, c.head.SessionID, c.client.session = s, s.id, s.id
	for p := s.ring.next; p != &s.ring; p = p.next {
		topic := d.image().TopicByID(p.key.id)
		if s.named {
			topic = d.image().TopicCalled(p.key.name)
		}
		d.addPart(t, c, topic, p.key.name, p.key.id, &p.ask).entry = p
	}
	return wire.CodeNone
}

// nextEpoch wraps past the largest value to 1: 0 and -1 mean something else.
func nextEpoch(e int32) int32 {
	if e == math.MaxInt32 {
		return 1
	}
	return e + 1
}

// fetchFull takes every partition of the request.
func (d *Desk) fetchFull(t *shard.Turn, c *fetchCall, v *wire.FetchView) {
	image := d.image()
	for v.NextTopic() {
		id := v.TopicID()
		topic := image.TopicByID(id)
		name := ""
		if c.version < 13 {
			if topic = image.TopicNamed(v.TopicName()); topic == nil {
				name = string(v.TopicName())
			}
		}
		for v.NextPartition() {
			d.addPart(t, c, topic, name, id, &v.Partition)
		}
	}
}

// sessionStart remembers a full fetch, if there is room.
func (d *Desk) sessionStart(c *fetchCall, v *wire.FetchView) {
	if d.sessions.max <= 0 || len(c.parts) == 0 || len(c.parts) > sessionPartsMax {
		return
	}
	if len(d.sessions.byID) >= d.sessions.max && !d.sessions.evict() {
		return
	}
	s := &session{id: d.sessions.nextID(), epoch: 1, named: c.version < 13, fresh: true, owner: c.client, parts: make(map[sessionKey]*sessionPart, len(c.parts))}
	s.ring.next, s.ring.prev = &s.ring, &s.ring
	v.Rewind()
	if !d.sessionUpdate(s, v) {
		d.sessions.bytes -= s.bytes
		return
	}
	d.sessions.byID[s.id] = s
	d.sessions.touch(s)
	for i := range c.parts {
		p := &c.parts[i]
		p.entry = s.parts[sessionKey{id: p.id, name: s.keyName(p.topicName()), index: p.index}]
	}
	c.session, c.head.SessionID, c.client.session = s, s.id, s.id
}

func (s *session) keyName(name string) string {
	if s.named {
		return name
	}
	return ""
}

// sessionUpdate adds and changes what the request names, and forgets what it forgets. It reports whether the session is still of a size
// to be remembered.
func (d *Desk) sessionUpdate(s *session, v *wire.FetchView) bool {
	for v.NextTopic() {
		key := sessionKey{id: v.TopicID(), name: d.sessionName(s, v)}
		name := int64(len(key.name)) // shared by the topic's partitions
		for v.NextPartition() {
			key.index = v.Partition.Index
			p := s.parts[key]
			if p == nil {
				if len(s.parts) >= sessionPartsMax || !d.sessions.grow(s, sessionPartBytes+name) {
					return false
				}
				name = 0
				p = &sessionPart{key: key, high: -1, logStart: -1}
				s.parts[key] = p
				s.append(p)
			}
			p.ask = v.Partition
		}
	}
	for v.NextForgotten() {
		key := sessionKey{id: v.TopicID(), name: d.sessionName(s, v)}
		for v.NextForgottenIndex() {
			key.index = v.ForgottenIndex()
			if p := s.parts[key]; p != nil {
				delete(s.parts, key)
				p.unlink()
				s.bytes -= sessionPartBytes // the name's bytes stay charged: others of its topic may share it
				d.sessions.bytes -= sessionPartBytes
			}
		}
	}
	return true
}

// sessionName is the current topic's name for a session that goes by names. A known topic's costs no allocation.
func (d *Desk) sessionName(s *session, v *wire.FetchView) string {
	if !s.named {
		return ""
	}
	if topic := d.image().TopicNamed(v.TopicName()); topic != nil {
		return topic.Name
	}
	return string(v.TopicName())
}

func (s *session) append(p *sessionPart) {
	p.prev, p.next = s.ring.prev, &s.ring
	s.ring.prev.next, s.ring.prev = p, p
}

func (p *sessionPart) unlink() {
	p.prev.next, p.next.prev = p.next, p.prev
	p.prev, p.next = nil, nil
}

// answer leaves out what an incremental client knows already, notes what it is told, and moves partitions that returned data to
// the tail, so that the next answer begins with others.
func (s *session) answer(c *fetchCall) {
	full := s.fresh
	s.fresh = false
	for i := range c.parts {
		p := &c.parts[i]
		entry := p.entry
		if entry == nil || entry.next == nil {
			continue
		}
		code, high, logStart, diverging := p.code, model.Offset(-1), model.Offset(-1), false
		if a := c.answer(p); a != nil {
			code, high, logStart, diverging = partitionError(a.Code), a.High, a.LogStart, a.Diverging
		} else if code == wire.CodeNone {
			p.mute = !full
			continue
		}
		p.mute = !full && p.bytes == 0 && code == wire.CodeNone && !diverging && high == entry.high && logStart == entry.logStart
		entry.high, entry.logStart = high, logStart
		if code != wire.CodeNone {
			entry.high = -1 // tell it again when the error is over
		}
		if p.bytes > 0 {
			entry.unlink()
			s.append(entry)
		}
	}
}
