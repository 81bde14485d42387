package quota

import (
	"time"

	"pinion/engine/clock"
	"pinion/engine/placement"
)

// Client is what one connection keeps of the quotas of its client. One owner at a time. The zero value has none.
type Client struct {
	quotas *placement.Quotas // by which the limits were found
	user   string
	id     string
	limits [kindCount]limit
}

// limit is one quota; without an account there is none.
type limit struct {
	account *account
	rate    float64 // a second, in bytes, nanoseconds or partitions
}

// percent is what a percentage stands for: nanoseconds of a shard's time a second.
const percent = float64(time.Second) / 100

// Is makes it the client of that user and id under these quotas. Where nothing has changed it costs a few comparisons.
func (c *Client) Is(b *Book, q *placement.Quotas, user string, id []byte, now clock.Mono) {
	if c.quotas == q && c.id == string(id) && c.user == user {
		return
	}
	c.Close()
	c.quotas, c.user = q, user
	if c.id != string(id) {
		c.id = string(id)
	}
	for kind := range kindCount {
		rate, byUser, byClient, ok := find(q, keys[kind], user, c.id)
		if !ok {
			continue
		}
		if kind == Request {
			rate *= percent
		}
		name := accountName{kind: kind}
		if byUser {
			name.user = user
		}
		if byClient {
			name.client = c.id
		}
		c.limits[kind] = limit{b.open(name, now), rate}
	}
}

// Close lets go of the accounts.
func (c *Client) Close() {
	for i := range c.limits {
		if a := c.limits[i].account; a != nil {
			a.leave()
		}
		c.limits[i] = limit{}
	}
	c.quotas = nil
}

// Limited reports whether there is a quota of the kind.
func (c *Client) Limited(kind Kind) bool { return c.limits[kind].account != nil }

// Use counts n and says how long the client is to be held back for it.
func (c *Client) Use(b *Book, kind Kind, now clock.Mono, n int64) time.Duration {
	l := &c.limits[kind]
	if l.account == nil {
		return 0
	}
	l.account.add(b.pace, now, n)
	wait := excess(l.account.used(b.pace, now), l.rate, b.pace.span(now))
	if kind == Request {
		wait = min(wait, b.pace.Window) // as in Kafka: a request that took very long must not hold its client back for ever
	}
	return wait
}

// Offer is Use for what can still be held back itself: where others have used up the quota nothing is counted, and ok is false. What would be too
// much by itself is counted when nothing else is, or its client would never get it.
func (c *Client) Offer(b *Book, kind Kind, now clock.Mono, n int64) (wait time.Duration, ok bool) {
	l := &c.limits[kind]
	if l.account == nil {
		return 0, true
	}
	used := l.account.used(b.pace, now)
	wait = excess(used+n, l.rate, b.pace.span(now))
	if wait > 0 && used > 0 {
		return wait, false
	}
	l.account.add(b.pace, now, n)
	return wait, true
}

// Afford counts n, however much it is, unless the quota is used up already: then ok is false, and the wait is until it is not (KIP-599).
func (c *Client) Afford(b *Book, kind Kind, now clock.Mono, n int64) (wait time.Duration, ok bool) {
	l := &c.limits[kind]
	if l.account == nil {
		return 0, true
	}
	if wait = excess(l.account.used(b.pace, now), l.rate, b.pace.span(now)); wait > 0 {
		return wait, false
	}
	l.account.add(b.pace, now, n)
	return 0, true
}

// Most is the most that can be used at once without having to wait for it for sure.
func (c *Client) Most(b *Book, kind Kind, most int64) int64 {
	l := &c.limits[kind]
	if l.account == nil {
		return most
	}
	return min(most, int64(min(l.rate*(time.Duration(b.pace.Windows-1)*b.pace.Window).Seconds(), float64(most))))
}
