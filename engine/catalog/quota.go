package catalog

import (
	"maps"
	"math"
	"slices"

	"pinion/engine/placement"
)

// QuotaChange sets some keys of an entity's quota, and removes others.
type QuotaChange struct {
	Entity placement.Entity
	Ops    []QuotaOp
}

// QuotaOp is one key to be set or removed.
type QuotaOp struct {
	Key    string
	Value  float64 // above 0 and finite, unless removed
	Remove bool
}

// AlterQuotas changes the quotas of some entities (AlterClientQuotas, API key 49), all of them or none. A later change wins.
func AlterQuotas(changes []QuotaChange) Command {
	w := begin(KindAlterQuotas)
	w.uvarint(uint64(len(changes)))
	for _, c := range changes {
		w.entity(c.Entity)
		w.uvarint(uint64(len(c.Ops)))
		for _, op := range c.Ops {
			w.string(op.Key)
			w.flag(op.Remove)
			w.float(op.Value)
		}
	}
	return w.command()
}

func (m *Machine) alterQuotas(r *reader) Result {
	changes := make([]QuotaChange, 0, 8)
	for range r.count(quotasMax) {
		c := QuotaChange{Entity: r.entity()}
		for range r.count(quotaKeysMax) {
			c.Ops = append(c.Ops, QuotaOp{Key: r.string(labelBytesMax), Remove: r.flag(), Value: r.float()})
		}
		if r.bad {
			break
		}
		changes = append(changes, c)
	}
	if !r.done() {
		return malformed(KindAlterQuotas)
	}
	before := m.draft.View().Quotas()
	next := map[placement.Entity]map[string]float64{}
	for _, c := range changes {
		values, seen := next[c.Entity]
		if !seen {
			values = map[string]float64{}
			maps.Copy(values, before.Of(c.Entity))
			next[c.Entity] = values
		}
		for _, op := range c.Ops {
			if op.Remove {
				delete(values, op.Key)
			} else if values[op.Key] = op.Value; !allowance(op.Value) || op.Key == "" {
				return refused(InvalidRequest, "Quota %s must be greater than 0", op.Key)
			}
		}
		if len(values) > quotaKeysMax {
			return refused(InvalidRequest, "%d keys of a quota, at most %d", len(values), quotaKeysMax)
		}
	}
	count := before.Len()
	for e, values := range next {
		switch had := len(before.Of(e)) > 0; {
		case had && len(values) == 0:
			count--
		case !had && len(values) > 0:
			count++
		}
	}
	if count > quotasMax {
		return refused(LimitReached, "quotas of %d entities, at most %d", count, quotasMax)
	}
	for e, values := range next { // their order leaves no trace
		m.draft.SetQuota(e, values)
	}
	return Result{}
}

// allowance reports whether a number can be a quota.
func allowance(v float64) bool { return v > 0 && v <= math.MaxFloat64 }

func (w *writer) who(v placement.Who) {
	w.byte(byte(v.Kind))
	if v.Kind == placement.Named {
		w.string(v.Name)
	}
}

func (w *writer) entity(e placement.Entity) {
	w.who(e.User)
	w.who(e.Client)
	w.who(e.IP)
}

func (r *reader) who() placement.Who {
	v := placement.Who{Kind: placement.WhoKind(r.byte())}
	if v.Kind > placement.Named {
		r.fail()
	}
	if v.Kind == placement.Named {
		v.Name = r.string(ResourceNameMax)
	}
	return v
}

func (r *reader) entity() placement.Entity {
	e := placement.Entity{User: r.who(), Client: r.who(), IP: r.who()}
	if e == (placement.Entity{}) {
		r.fail()
	}
	return e
}

// quotas is the part of a snapshot that holds quotas.
func (w *writer) quotas(q *placement.Quotas) {
	w.uvarint(uint64(q.Len()))
	for one := range q.Each {
		w.entity(one.Entity)
		w.uvarint(uint64(len(one.Values)))
		for _, key := range slices.Sorted(maps.Keys(one.Values)) {
			w.string(key)
			w.float(one.Values[key])
		}
	}
}

func (m *Machine) restoreQuotas(r *reader) {
	var above placement.Entity
	for range r.count(quotasMax) {
		e := r.entity()
		values := map[string]float64{}
		last := ""
		for i := range r.count(quotaKeysMax) {
			key, value := r.string(labelBytesMax), r.float()
			if key == "" || i > 0 && key <= last || !allowance(value) {
				r.fail()
			}
			if r.bad {
				return
			}
			values[key], last = value, key
		}
		if len(values) == 0 || e.Compare(above) <= 0 {
			r.fail()
			return
		}
		above = e
		m.draft.SetQuota(e, values)
	}
}
