package log

import (
	"fmt"

	"pinion/disk/device"
	"pinion/engine/model"
)

// unproven is a stretch of the segment with the recovery point in it, right below: Open took it for what was written. It is read, CRCs and
// all, when the segment is first opened to be read or appended to, so that a start with many partitions reads none of it, and nobody is
// sent damage from there or appends behind it.
type unproven struct {
	base     model.Offset // of the segment
	from, to int64        // bytes; equal: nothing is left to prove
}

// of is the part that lies in a segment.
func (u unproven) of(base model.Offset) unproven {
	if u.base != base || u.from >= u.to {
		return unproven{}
	}
	return u
}

// prove reads the stretch, in a file of that name.
func (u unproven) prove(f device.File, name string) error {
	if u.from >= u.to {
		return nil
	}
	in := newWindow(f, u.to)
	defer in.free()
	end := u.base
	for pos := u.from; pos < u.to; {
		h, reason, err := readHeader(in, pos, u.to)
		if err != nil {
			return err
		}
		if reason == "" {
			if reason, err = checkSum(in, pos, &h); err != nil {
				return err
			}
		}
		if reason != "" {
			return &Damage{Segment: name, Pos: pos, Offset: end, Reason: reason}
		}
		pos += int64(h.Size())
		end = h.LastOffset() + 1
	}
	return nil
}

// proved notes what opening a segment has shown of its stretch.
func (l *Log) proved(o *opening) {
	switch {
	case o.stretch.from >= o.stretch.to || o.stretch != l.past().unproven:
	case o.damage != nil:
		l.amend(func(p *past) { p.damage = fmt.Errorf("log %s: %w", l.name, o.damage) })
	case o.proven:
		l.amend(func(p *past) { p.unproven = unproven{} })
	}
}

// Damaged is the damage that was found in what Open trusted, or nil: the log is to be taken offline, and stays as it is.
func (l *Log) Damaged() error { return l.past().damage }
