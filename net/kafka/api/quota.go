package api

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/placement"
	"pinion/engine/quota"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// Quotas (KIP-13, KIP-124) limit the bytes of Produce requests, the bytes of records fetched, and the time of a shard that requests take. A
// request is answered at once, with how long its client should wait, and its connection begins nothing else for that long (KIP-219); a fetch that
// is too much is answered without records. The accounts are the node's: all shards add to them. Where no quota is set, a request costs one
// comparison.
//
// Of a request's time what its home shard spends on it counts, up to its answer: not what owners of partitions and helpers do for it.

// meter finds the accounts of whoever sent a request.
func (d *Desk) meter(t *shard.Turn, r *conn.Request, q *placement.Quotas) *quota.Client {
	c := r.Conn().Attachment().(*client)
	if c.quota == nil {
		c.quota = &quota.Client{}
	}
	c.quota.Is(d.node.Book, q, user, r.ClientID, t.Now().Mono)
	return c.quota
}

// user is the name of everyone, without authentication.
const user = "ANONYMOUS"

// metered serves a request of a node with quotas.
func (d *Desk) metered(t *shard.Turn, r *conn.Request, q *placement.Quotas, serve func(*Desk, *shard.Turn, *conn.Request)) {
	c := d.meter(t, r, q)
	if !c.Limited(quota.Request) {
		serve(d, t, r)
		return
	}
	d.began = t.Read().Mono
	serve(d, t, r) // which may end r
	if d.began != 0 {
		// It goes on later. What it has taken so far counts for what comes next.
		c.Use(d.node.Book, quota.Request, t.Now().Mono, int64(t.Read().Mono.Sub(d.began)))
		d.began = 0
	}
}

// quotaOf is the client's quotas, nil where there are none.
func (d *Desk) quotaOf(r *conn.Request) *quota.Client {
	if d.image().Quotas() == nil {
		return nil
	}
	return r.Conn().Attachment().(*client).quota
}

// spend counts n of a kind for a request that is about to be answered, and its time, and holds its client back for as long as it gives.
func (d *Desk) spend(t *shard.Turn, r *conn.Request, kind quota.Kind, n int64) time.Duration {
	c := d.quotaOf(r)
	if c == nil {
		return 0
	}
	return d.holdBack(t, r, c, c.Use(d.node.Book, kind, t.Now().Mono, n))
}

// spendTime is spend for a request of which only the time counts.
func (d *Desk) spendTime(t *shard.Turn, r *conn.Request) time.Duration {
	c := d.quotaOf(r)
	if c == nil {
		return 0
	}
	return d.holdBack(t, r, c, 0)
}

func (d *Desk) holdBack(t *shard.Turn, r *conn.Request, c *quota.Client, wait time.Duration) time.Duration {
	taken := int64(0)
	if d.began != 0 {
		taken, d.began = int64(t.Read().Mono.Sub(d.began)), 0
	}
	if c.Limited(quota.Request) {
		wait = max(wait, c.Use(d.node.Book, quota.Request, t.Now().Mono, taken))
	}
	r.Mute(t, wait)
	return wait
}

// milliseconds of a wait, as responses tell it: it is never told shorter than it is.
func milliseconds(d time.Duration) int32 { return int32((d + time.Millisecond - 1) / time.Millisecond) }

// throttle writes a wait into a response that can tell it.
func throttle(resp kmsg.Response, wait time.Duration) {
	if r, can := resp.(kmsg.SetThrottleResponse); can && wait > 0 {
		r.SetThrottle(milliseconds(wait))
	}
}

// mutate counts partitions that a request is to create or delete (KIP-599). A client that has used up its quota is refused from some version on;
// before, it only waits.
func (d *Desk) mutate(t *shard.Turn, r *conn.Request, partitions int64, strictFrom int16) *catalog.Error {
	c := d.quotaOf(r)
	if c == nil {
		return nil
	}
	if r.Version < strictFrom {
		r.Mute(t, c.Use(d.node.Book, quota.Mutation, t.Now().Mono, partitions))
		return nil
	}
	wait, ok := c.Afford(d.node.Book, quota.Mutation, t.Now().Mono, partitions)
	if ok {
		return nil
	}
	r.Mute(t, wait)
	return &catalog.Error{Code: catalog.Throttled, Message: "The quota of partitions created and deleted is used up; try again later."}
}

// spend counts the records of a fetch. Where others have used the quota up it goes without them, and its session stays as it was.
func (c *fetchCall) spend(t *shard.Turn) {
	d := c.desk
	account := d.quotaOf(c.request)
	if account == nil {
		return
	}
	bytes := int64(0)
	for i := range c.parts {
		bytes += int64(c.parts[i].bytes)
	}
	wait, ok := account.Offer(d.node.Book, quota.Fetch, t.Now().Mono, bytes)
	wait = d.holdBack(t, c.request, account, wait)
	c.head.ThrottleMs = milliseconds(wait)
	if ok {
		return
	}
	for i := range c.parts {
		c.parts[i].bytes, c.parts[i].mute = 0, true
	}
	if s := c.session; s != nil && s.fresh { // nobody has been told of it, and its client begins anew
		d.sessions.drop(s)
		c.head.SessionID = sessionNone
	}
	c.session = nil
}
