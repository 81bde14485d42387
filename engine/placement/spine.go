package placement

// spine is a persistent array of partitions: a radix tree, fanout wide, of just the depth its length needs.
//
//	depth 0: no root            length 0
//	depth 1: one page           length 1..32
//	depth 2: page of pages      length 33..1024, and so on
type spine struct {
	root  *page
	len   int
	depth int
}

// page holds either parts (on the lowest level) or pages.
type page struct {
	edit  *edit
	parts []*Partition
	pages []*page
}

func (s *spine) get(i uint32) *Partition {
	p := s.root
	for level := s.depth - 1; level > 0; level-- {
		p = p.pages[i>>(level*fanoutBits)&fanoutMask]
	}
	return p.parts[i&fanoutMask]
}

// set replaces element i, which must exist.
func (s *spine) set(e *edit, i uint32, value *Partition) {
	s.root = s.root.set(e, s.depth-1, i, value)
}

// push appends one element.
func (s *spine) push(e *edit, value *Partition) {
	i := uint32(s.len)
	if s.len == capacity(s.depth) {
		if s.depth > 0 {
			s.root = &page{edit: e, pages: []*page{s.root}}
		}
		s.depth++
	}
	s.root = s.root.set(e, s.depth-1, i, value)
	s.len++
}

func capacity(depth int) int {
	if depth == 0 {
		return 0
	}
	return 1 << (depth * fanoutBits)
}

func (p *page) own(e *edit) *page {
	if p == nil {
		return &page{edit: e}
	}
	if p.edit == e {
		return p
	}
	return &page{edit: e, parts: append([]*Partition(nil), p.parts...), pages: append([]*page(nil), p.pages...)}
}

func (p *page) set(e *edit, level int, i uint32, value *Partition) *page {
	p = p.own(e)
	at := int(i >> (level * fanoutBits) & fanoutMask)
	if level == 0 {
		if at == len(p.parts) {
			p.parts = append(p.parts, value)
		} else {
			p.parts[at] = value
		}
		return p
	}
	if at == len(p.pages) {
		p.pages = append(p.pages, nil)
	}
	p.pages[at] = p.pages[at].set(e, level-1, i, value)
	return p
}
