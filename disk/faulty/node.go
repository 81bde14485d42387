package faulty

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// What a disk writes as a whole, and what memory is written back in.
const (
	sectorBytes = 512
	pageBytes   = 4096
)

// node is one file or folder: what readers see, and what the disk would remember. It is never reused.
type node struct {
	folder       bool
	names        map[string]*node // of a folder
	durableNames map[string]*node

	mem      []byte // of a file
	durable  []byte
	dirty    map[int]struct{} // pages of mem that the next Sync has to store
	resized  bool             // so has it the length
	reserved int64            // space is kept up to here
	modified int64            // when its content last changed
	unlinked bool             // no name leads here any more
	maps     [][]byte         // live mappings, kept equal to mem
}

func newFolder() *node {
	return &node{folder: true, names: map[string]*node{}, durableNames: map[string]*node{}}
}

// change is one change to names: a removal (from), an addition (to), or both at once.
type change struct {
	from, to         *node
	fromName, toName string
	node             *node
}

func (c change) apply(names func(*node) map[string]*node) {
	if c.from != nil {
		delete(names(c.from), c.fromName)
	}
	if c.to != nil {
		names(c.to)[c.toName] = c.node
	}
}

// allocated is the space a file takes, in whole pages.
func (n *node) allocated() int64 { return wholePages(max(int64(len(n.mem)), n.reserved)) }

func wholePages(bytes int64) int64 { return (bytes + pageBytes - 1) / pageBytes * pageBytes }

func (n *node) usedBelow() int64 {
	if !n.folder {
		return n.allocated()
	}
	sum := int64(0)
	for _, below := range n.names {
		sum += below.usedBelow()
	}
	return sum
}

// write puts b at pos and makes its pages dirty.
func (n *node) write(b []byte, pos int64) {
	if len(b) == 0 {
		return
	}
	end := int(pos) + len(b)
	if grow := end - len(n.mem); grow > 0 {
		n.mem = slices.Grow(n.mem, grow)[:end]
	}
	n.resized = n.resized || end > len(n.durable)
	copy(n.mem[pos:], b)
	for page := int(pos) / pageBytes; page <= (end-1)/pageBytes; page++ {
		n.dirty[page] = struct{}{}
	}
	for _, m := range n.maps {
		if pos < int64(len(m)) {
			copy(m[pos:], b)
		}
	}
}

// resize cuts the file. What grows again later is zero in between.
func (n *node) resize(size int64) {
	for _, m := range n.maps {
		clear(m[min(size, int64(len(m))):min(len(n.mem), len(m))])
	}
	clear(n.mem[size:])
	n.mem = n.mem[:size]
	n.resized = true
	for page := range n.dirty {
		if page*pageBytes >= int(size) {
			delete(n.dirty, page)
		}
	}
}

// replace changes the content everywhere, the disk included.
func (n *node) replace(b []byte) {
	for _, m := range n.maps {
		held := min(len(n.mem), len(m)) // behind it nothing is touched: a mapping may be far larger than the file
		if kept := copy(m, b); kept < held {
			clear(m[kept:held])
		}
	}
	n.mem, n.durable = slices.Clone(b), slices.Clone(b)
	clear(n.dirty)
	n.resized = false
}

// store makes what is dirty durable.
func (n *node) store() {
	if n.resized {
		if len(n.durable) > len(n.mem) {
			clear(n.durable[len(n.mem):])
			n.durable = n.durable[:len(n.mem)]
		} else {
			grow := len(n.mem) - len(n.durable)
			n.durable = slices.Grow(n.durable, grow)[:len(n.mem)]
		}
	}
	for page := range n.dirty {
		at := page * pageBytes
		if at < len(n.durable) {
			copy(n.durable[at:min(at+pageBytes, len(n.durable))], n.mem[at:])
		}
	}
	n.forget()
}

// forget marks everything clean, as a failed sync does: readers still see it, the disk never will.
func (n *node) forget() {
	clear(n.dirty)
	n.resized = false
}

// tear is what a power cut leaves of the file: any length between the durable one and the one in memory, and of every dirty page
// the old, the new, or some sectors of each. What is not kept is as it was, or zero.
func (n *node) tear(r *rand.Rand) []byte {
	length := len(n.durable)
	if n.resized {
		switch {
		case len(n.mem) > length && r.IntN(3) > 0:
			length += r.IntN(len(n.mem) - length + 1)
			if r.IntN(2) == 0 {
				length = len(n.mem)
			}
		case len(n.mem) < length && r.IntN(2) == 0:
			length = len(n.mem)
		}
	}
	out := make([]byte, length)
	copy(out, n.durable)
	for at := 0; at < min(length, len(n.mem)); at += pageBytes {
		if _, dirty := n.dirty[at/pageBytes]; !dirty {
			continue
		}
		fate := r.IntN(3)
		for sector := at; sector < min(at+pageBytes, length, len(n.mem)); sector += sectorBytes {
			if fate == 1 || fate == 2 && r.IntN(2) == 0 {
				copy(out[sector:min(sector+sectorBytes, length)], n.mem[sector:])
			}
		}
	}
	return out
}

// Killed returns the directory as the next process finds it when only this one died: everything written is there, and no more
// durable than it was. Hooks, limits and locks are not carried over. The directory itself stays as it is.
func (d *Dir) Killed(seed uint64) *Dir {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := New(seed)
	twins := map[*node]*node{}
	next.top = twin(d.top, twins)
	for _, c := range d.pending {
		c.node = twin(c.node, twins)
		if c.from != nil {
			c.from = twin(c.from, twins)
		}
		if c.to != nil {
			c.to = twin(c.to, twins)
		}
		next.pending = append(next.pending, c)
	}
	return next
}

// twin copies a node with all that hangs below it.
func twin(n *node, twins map[*node]*node) *node {
	if t := twins[n]; t != nil {
		return t
	}
	t := &node{folder: n.folder, mem: slices.Clone(n.mem), durable: slices.Clone(n.durable), dirty: maps.Clone(n.dirty), resized: n.resized,
		reserved: n.reserved, modified: n.modified, unlinked: n.unlinked}
	twins[n] = t
	if !n.folder {
		return t
	}
	t.names, t.durableNames = map[string]*node{}, map[string]*node{}
	for name, below := range n.names {
		t.names[name] = twin(below, twins)
	}
	for name, below := range n.durableNames {
		t.durableNames[name] = twin(below, twins)
	}
	return t
}

// AfterCut returns the directory as a power cut in this moment leaves it; the seed chooses among all that can be left. The directory
// itself stays as it is, so that a test can look at many cuts of one moment.
func (d *Dir) AfterCut(seed uint64) *Dir {
	r := rand.New(rand.NewPCG(seed, 2))
	return d.afterCut(seed, func(pending int) int { return r.IntN(pending + 1) }, func(n *node) []byte { return n.tear(r) })
}

// Lost is AfterCut where nothing is left that was not synced.
func (d *Dir) Lost(seed uint64) *Dir {
	return d.afterCut(seed, func(int) int { return 0 }, func(n *node) []byte { return n.durable })
}

// Kept is AfterCut where everything was written back just in time.
func (d *Dir) Kept(seed uint64) *Dir {
	return d.afterCut(seed, func(pending int) int { return pending }, (*node).written)
}

// afterCut leaves so many of the pending changes to names, and of each file what left says.
func (d *Dir) afterCut(seed uint64, names func(pending int) int, left func(n *node) []byte) *Dir {
	next := d.Killed(seed)
	for _, c := range next.pending[:names(len(next.pending))] {
		c.apply(func(n *node) map[string]*node { return n.durableNames })
	}
	next.pending = nil
	next.top.settle(left)
	return next
}

// written is what the disk holds once every dirty page has been written back; what a failed sync forgot is not.
func (n *node) written() []byte {
	n.store()
	return n.durable
}

// settle makes what the disk remembers of a node all there is.
func (n *node) settle(left func(n *node) []byte) {
	if !n.folder {
		n.mem = left(n)
		n.durable = slices.Clone(n.mem)
		n.forget()
		n.reserved, n.unlinked = int64(len(n.mem)), false
		return
	}
	n.names = maps.Clone(n.durableNames)
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		n.names[name].settle(left)
	}
}
