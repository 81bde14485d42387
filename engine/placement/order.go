package placement

import "hash/maphash"

// order is a persistent treap of topic names: a search tree by name, a heap by a hash of the name, so that it is balanced in
// expectation without any bookkeeping. Nodes are immutable.
type order struct {
	name        string
	weight      uint64
	left, right *order
}

func weigh(name string) uint64 { return maphash.String(seed, name) }

// with returns the treap that also holds name, which must not be in it.
func (o *order) with(name string, weight uint64) *order {
	if o == nil {
		return &order{name: name, weight: weight}
	}
	if weight > o.weight {
		left, right := o.split(name)
		return &order{name: name, weight: weight, left: left, right: right}
	}
	c := *o
	if name < o.name {
		c.left = o.left.with(name, weight)
	} else {
		c.right = o.right.with(name, weight)
	}
	return &c
}

// split parts the treap into names below and names above name.
func (o *order) split(name string) (below, above *order) {
	if o == nil {
		return nil, nil
	}
	c := *o
	if name < o.name {
		below, c.left = o.left.split(name)
		return below, &c
	}
	c.right, above = o.right.split(name)
	return &c, above
}

// without returns the treap that lacks name.
func (o *order) without(name string) *order {
	if o == nil {
		return nil
	}
	if name == o.name {
		return join(o.left, o.right)
	}
	c := *o
	if name < o.name {
		c.left = o.left.without(name)
	} else {
		c.right = o.right.without(name)
	}
	return &c
}

// join merges two treaps; every name of left is below every name of right.
func join(left, right *order) *order {
	if left == nil {
		return right
	}
	if right == nil {
		return left
	}
	if left.weight > right.weight {
		c := *left
		c.right = join(left.right, right)
		return &c
	}
	c := *right
	c.left = join(left, right.left)
	return &c
}

// walk yields the names in ascending order until yield returns false; it reports whether it came to the end.
func (o *order) walk(yield func(string) bool) bool {
	return o == nil || o.left.walk(yield) && yield(o.name) && o.right.walk(yield)
}
