package hostile

import (
	"encoding/binary"
	"math"
	"math/rand/v2"

	"pinion/net/kafka/wire"
)

// fate is what may become of a frame.
type fate uint8

const (
	answered fate = iota // or its connection is closed
	refused              // the connection is closed, nothing else will do
	silent               // acks=0: answered by nothing
	polls                // a long poll that may take its time
)

// expected is one frame as the stream delivers it: lengths that lie have moved the borders.
type expected struct {
	key, version int16
	correlation  uint32
	fate         fate
	untouched    bool // a valid request, so the connection must outlive it
	frame        span // in the stream, the length field included
}

// Fixed by the protocol.
const headerMin = 8 // key, version, correlation id

// frameMax is the least length that no key is allowed; socket.request.max.bytes is 100 MiB.
const frameMax = 100 << 20

// pollMax is how long a poll may be told to wait, in milliseconds; longer ones are shortened, except for one in pollLongOften.
const (
	pollMax       = 3
	pollLongOften = 400
)

// deliver reads a stream as lengths say it is to be read. It ends at a frame that cannot be one, or that is not all there: open says
// that the broker waits for more then. Polls are shortened in place.
func deliver(r *rand.Rand, stream []byte, list []expected) (_ []expected, open bool) {
	for at := 0; at < len(stream); {
		left := stream[at:]
		if len(left) < 4 {
			return list, true
		}
		size := int32(binary.BigEndian.Uint32(left))
		e := expected{frame: span{at, len(stream)}}
		switch {
		case size < headerMin || size > frameMax:
			e.fate, e.key = refused, -1
			return append(list, e), false
		case int(size) > len(left)-4:
			return list, true
		}
		e.frame.to = at + 4 + int(size)
		list = append(list, judge(r, stream, e))
		at = e.frame.to
	}
	return list, false
}

// judge tells the fate of a whole frame.
func judge(r *rand.Rand, stream []byte, e expected) expected {
	frame := stream[e.frame.from:e.frame.to]
	e.key = int16(binary.BigEndian.Uint16(frame[atKey:]))
	e.version = int16(binary.BigEndian.Uint16(frame[atVersion:]))
	e.correlation = binary.BigEndian.Uint32(frame[atCorrelation:])
	api := wire.Lookup(e.key)
	switch {
	case api == nil, !api.Serves(e.version) && e.key != wire.KeyAPIVersions:
		e.fate = refused
	case e.key == wire.KeyProduce:
		c := cursor{b: frame, at: atClientID}
		c.header(api.IsFlexible(e.version))
		c.text(api.IsFlexible(e.version)) // transactional id
		if acks := c.take(2); acks != nil && acks[0] == 0 && acks[1] == 0 {
			e.fate = silent
		}
	case e.key == wire.KeyFetch:
		c := cursor{b: frame, at: atClientID}
		c.header(api.IsFlexible(e.version))
		if e.version < 15 {
			c.take(4) // replica id
		}
		if wait := c.take(4); wait != nil && int32(binary.BigEndian.Uint32(wait)) > pollMax {
			if r.IntN(pollLongOften) > 0 {
				binary.BigEndian.PutUint32(wait, uint32(r.IntN(pollMax+1)))
			} else {
				e.fate = polls
			}
		}
	}
	return e
}

// cursor passes over the beginning of a request. Where that makes no sense it stays at the end: such a request is not answered.
type cursor struct {
	b  []byte
	at int
}

func (c *cursor) take(n int) []byte {
	if n < 0 || n > len(c.b)-c.at {
		c.at = len(c.b)
		return nil
	}
	c.at += n
	return c.b[c.at-n : c.at]
}

func (c *cursor) uvarint() int {
	v, n := binary.Uvarint(c.b[c.at:])
	if n <= 0 || v > math.MaxUint32 {
		c.at = len(c.b)
		return 0
	}
	c.at += n
	return int(v)
}

func (c *cursor) text(compact bool) {
	if compact {
		c.take(max(0, c.uvarint()-1))
	} else if b := c.take(2); b != nil {
		c.take(max(0, int(int16(binary.BigEndian.Uint16(b)))))
	}
}

// header passes over what follows the correlation id.
func (c *cursor) header(tags bool) {
	c.text(false) // the client id is never compact
	if tags {
		for n := c.uvarint(); n > 0 && c.at < len(c.b); n-- {
			c.uvarint()
			c.take(c.uvarint())
		}
	}
}
