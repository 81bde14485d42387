// Package quota accounts what clients use and says for how long they are to be held back (KIP-13, KIP-124). It owns the meters of a node, which its
// shards share, and finds which quota is whose. It refuses to hold anybody back: who answers a request does (KIP-219).
package quota

import (
	"sync"
	"sync/atomic"

	"pinion/engine/clock"
	"pinion/engine/placement"
)

// Kind is what is limited.
type Kind uint8

// The kinds.
const (
	Produce Kind = iota
	Fetch
	Request
	Mutation
	kindCount
)

var keys = [kindCount]string{Produce: placement.ProducerByteRate, Fetch: placement.ConsumerByteRate, Request: placement.RequestPercentage, Mutation: placement.ControllerMutationRate}

// Book holds the accounts of a node. Callable anywhere.
type Book struct {
	pace     Pace
	accounts sync.Map // of accountName to *account; touched when a connection's client is new, or quotas have changed
	count    atomic.Int64
}

// NewBook makes a book without accounts.
func NewBook(p Pace) *Book { return &Book{pace: p.bounded()} }

// accountName says who shares an account: a user, a client id, or the one as the other.
type accountName struct {
	kind         Kind
	user, client string
}

// account is a meter and those who use it. Once nobody does, and it has nothing to tell, it may be closed.
type account struct {
	Meter
	users atomic.Int32 // closed where negative
}

const accountClosed = -1 << 30

// accountsKept is how many accounts may be without users before those with nothing to tell are closed. Those in use are bounded by connections.
const accountsKept = 4096

// open gives the account of that name one more user.
func (b *Book) open(name accountName, now clock.Mono) *account {
	for {
		found, there := b.accounts.Load(name)
		if !there {
			fresh := &account{Meter: *newMeter(b.pace)}
			if found, there = b.accounts.LoadOrStore(name, fresh); !there && b.count.Add(1) > accountsKept {
				b.sweep(now)
			}
		}
		a := found.(*account)
		if a.users.Add(1) > 0 {
			return a
		}
		a.users.Add(-1) // it is being closed; another takes its place
		b.accounts.CompareAndDelete(name, a)
	}
}

func (a *account) leave() { a.users.Add(-1) }

// sweep closes the accounts that nobody uses and that have nothing to tell.
func (b *Book) sweep(now clock.Mono) {
	open := int64(0)
	b.accounts.Range(func(name, found any) bool {
		a := found.(*account)
		if a.users.Load() == 0 && a.used(b.pace, now) == 0 && a.users.CompareAndSwap(0, accountClosed) {
			b.accounts.CompareAndDelete(name, a)
		} else if a.users.Load() == 0 {
			open++
		}
		return true
	})
	b.count.Store(open) // of those that may be closed later; near enough
}

// find is the quota of a client: the first that sets the key, in Kafka's order.
func find(q *placement.Quotas, key, user, client string) (limit float64, byUser, byClient, ok bool) {
	named := func(name string) placement.Who { return placement.Who{Kind: placement.Named, Name: name} }
	other := placement.Who{Kind: placement.Default}
	for _, e := range [...]placement.Entity{
		{User: named(user), Client: named(client)}, {User: named(user), Client: other}, {User: named(user)},
		{User: other, Client: named(client)}, {User: other, Client: other}, {User: other},
		{Client: named(client)}, {Client: other},
	} {
		if limit, ok = q.Of(e)[key]; ok {
			return limit, e.User.Kind != placement.Nobody, e.Client.Kind != placement.Nobody, true
		}
	}
	return 0, false, false, false
}
