package api

import (
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/quota"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// client is what the desk keeps for one connection: the appends under way, so that those a moving partition turned away are
// sent again in their order.
//
// An owner that gave a partition away answers Moved for every later ask, in order. They must not be sent again one by one: a
// second move could let a later one pass an earlier. So the home shard waits until every ask of the connection is home, and then
// sends what was turned away by the newest image. Meanwhile the connection begins nothing new, because the image's count of
// moves differs from the one its requests in flight were begun under.
//
// All that is under way is sent by one image, so that two asks for one partition cannot go to two owners, and an owner can tell an ask
// that was sent before the partition came to it (partition.AppendAsk.Moves).
type client struct {
	out   int
	moved []*producePart
	route *placement.Image // by which everything under way was sent; nil while nothing is
	quota *quota.Client    // nil until a quota is set
	poll  *fetchCall       // the fetch under way; a connection has one at most
	kept  *fetchLeg        // what the last fetch left for the next, one of an owner
	beat  *beat            // its last heartbeat
	// session is the id of the fetch session it used last, carried that session while the connection is on its way to another shard.
	session int32
	carried *session
}

// Closed ends a poll, which would hold its memory and its waiters until its deadline. Asks under way come home to their calls.
func (c *client) Closed(t *shard.Turn) {
	if poll := c.poll; poll != nil {
		poll.session = nil // nobody is told anything
		poll.respond(t)
	}
	c.giveUp(t)
	if c.quota != nil {
		c.quota.Close()
	}
}

// Still implements conn.Attachment.
func (c *client) Still() bool { return c.out == 0 && c.poll == nil && (c.beat == nil || !c.beat.away) }

// Release implements conn.Handler.
func (d *Desk) Release(t *shard.Turn, a conn.Attachment) {
	c := a.(*client)
	c.giveUp(t)
	c.beat, c.carried = nil, d.sessions.release(c.session)
}

// Adopt implements conn.Handler.
func (d *Desk) Adopt(t *shard.Turn, a conn.Attachment) {
	c := a.(*client)
	if c.carried != nil {
		d.sessions.adopt(c.carried, t.Now().Mono)
		c.carried = nil
	}
}

// home counts an ask that came home and sends again what was turned away, once nothing is under way.
func (c *client) home(t *shard.Turn) {
	c.out--
	if c.out > 0 {
		return
	}
	c.route = nil
	again := c.moved
	c.moved = nil
	for _, p := range again {
		p.call.post(t, p)
	}
}

// routing is the image to send by: the newest, unless something is under way. What that image does not know yet is not under way.
func (c *client) routing(newest *placement.Image, name model.Partition) *placement.Image {
	if c.out == 0 {
		c.route = newest
	}
	if c.route.Partition(name) == nil {
		return newest
	}
	return c.route
}

// turnedAway keeps an ask for later.
func (c *client) turnedAway(p *producePart) { c.moved = append(c.moved, p) }

var _ partition.AppendCaller = (*producePart)(nil)
