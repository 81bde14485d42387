package placement

import (
	"cmp"
	"slices"
)

// Who says how one kind of name belongs to a quota's entity: not at all, by default for whoever has no quota by name, or by name.
type Who struct {
	Kind WhoKind
	Name string // empty unless named
}

// WhoKind is how. Values are on disk.
type WhoKind uint8

// The kinds.
const (
	Nobody  WhoKind = 0
	Default WhoKind = 1
	Named   WhoKind = 2
)

// What a quota limits. The names are Kafka's.
const (
	ProducerByteRate       = "producer_byte_rate"       // bytes of Produce requests a second
	ConsumerByteRate       = "consumer_byte_rate"       // bytes of records fetched a second
	RequestPercentage      = "request_percentage"       // of one shard's time
	ControllerMutationRate = "controller_mutation_rate" // partitions created and deleted a second
)

// Entity is whom a quota concerns: a user, a client id, both, or an address.
type Entity struct{ User, Client, IP Who }

// Compare orders entities.
func (e Entity) Compare(other Entity) int {
	return cmp.Or(e.User.compare(other.User), e.Client.compare(other.Client), e.IP.compare(other.IP))
}

func (w Who) compare(other Who) int {
	return cmp.Or(cmp.Compare(w.Kind, other.Kind), cmp.Compare(w.Name, other.Name))
}

// Quota is what an entity may use, by key. All fields are read only.
type Quota struct {
	Entity Entity
	Values map[string]float64 // never empty
}

// Quotas are all quotas of the cluster, ascending by entity. They are few and change rarely: a change copies the list.
type Quotas struct{ list []Quota }

// Len is how many entities have a quota.
func (q *Quotas) Len() int {
	if q == nil {
		return 0
	}
	return len(q.list)
}

// Each yields every quota, ascending by entity, until yield returns false.
func (q *Quotas) Each(yield func(Quota) bool) {
	if q == nil {
		return
	}
	for _, one := range q.list {
		if !yield(one) {
			return
		}
	}
}

// Of is what an entity may use by exactly its quota, nil for none.
func (q *Quotas) Of(e Entity) map[string]float64 {
	if q == nil {
		return nil
	}
	if at, found := q.search(e); found {
		return q.list[at].Values
	}
	return nil
}

func (q *Quotas) search(e Entity) (int, bool) {
	return slices.BinarySearchFunc(q.list, e, func(one Quota, e Entity) int { return one.Entity.Compare(e) })
}

// Quotas of the cluster; nil when there are none. The same pointer is the same quotas.
func (im *Image) Quotas() *Quotas { return im.quotas }

// SetQuota replaces the quota of an entity; an empty map removes it. The map is given away.
func (d *Draft) SetQuota(e Entity, values map[string]float64) {
	next := d.image.quotas
	switch {
	case next == nil:
		next = &Quotas{}
	case d.quotas != d.edit:
		next = &Quotas{slices.Clone(next.list)}
	}
	d.quotas = d.edit
	at, found := next.search(e)
	switch {
	case found && len(values) == 0:
		next.list = slices.Delete(next.list, at, at+1)
	case found:
		next.list[at].Values = values
	case len(values) > 0:
		next.list = slices.Insert(next.list, at, Quota{e, values})
	}
	if len(next.list) == 0 {
		next = nil
	}
	d.image.quotas = next
	d.dirty = true
}
