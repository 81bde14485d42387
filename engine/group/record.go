package group

import (
	"encoding/binary"
	"errors"
	"fmt"

	"pinion/engine/model"
	"pinion/engine/must"
)

// The records of __consumer_offsets, as Kafka's group coordinator writes them (its OffsetCommitKey, OffsetCommitValue, GroupMetadataKey and
// GroupMetadataValue), so that Kafka's formatter and its broker read them. Integers are big-endian; a text has its length before it in two
// bytes, bytes and lists in four, and -1 stands for null. In flexible values lengths are varints of the length plus one, 0 for null, and
// numbered tags end each structure.
//
//	key of an offset      1:i16  group:text  topic:text  partition:i32              (0 for 1 in old logs)
//	its value             4:i16  offset:i64  leader epoch:i32  metadata:text  committed at:i64  tags {0: topic id}      flexible
//	                      1:i16  offset:i64  metadata:text  committed at:i64  expires at:i64      where a client chose the retention
//	key of a group        2:i16  group:text
//	its value             3:i16  protocol type:text  generation:i32  protocol:text?  leader:text?  state since:i64  members:list of
//	                             id:text  instance:text?  client id:text  host:text  rebalance timeout:i32  session timeout:i32
//	                             subscription:bytes  assignment:bytes
//
// A record without a value says that what its key names is gone. Times are milliseconds since the Unix epoch, timeouts milliseconds.
const (
	keyOffsetOld = 0
	keyOffset    = 1
	keyGroup     = 2

	offsetPlain     = 4 // versions of values that are written
	offsetExpiring  = 1
	groupValue      = 3
	offsetValueLast = 4 // the newest ones that are read
	groupValueLast  = 4
)

// Record is one record for the group's partition. A nil Value is null.
type Record struct{ Key, Value []byte }

// ErrRecord means that a record is not what Kafka writes.
var ErrRecord = errors.New("malformed group record")

// offsetKey names a committed offset.
type offsetKey struct {
	topic     string
	partition int32
}

// committed is a committed offset.
type committed struct {
	offset   int64
	epoch    model.Epoch
	metadata string
	at       int64
	expires  int64 // -1: as the broker says
	topic    model.TopicID
}

// textBytesMax is how long a text with its length in two bytes may be.
const textBytesMax = 1<<15 - 1

func appendShortText(b []byte, s string) []byte {
	if len(s) > textBytesMax {
		must.Failf("a text of %d bytes for a record", len(s)) // it would be read as another length
	}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

func appendShortTextMaybe(b []byte, s *string) []byte {
	if s == nil {
		return append(b, 0xff, 0xff)
	}
	return appendShortText(b, *s)
}

func appendBytes(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

func appendOffsetKey(b []byte, group string, key offsetKey) []byte {
	b = binary.BigEndian.AppendUint16(b, keyOffset)
	b = appendShortText(appendShortText(b, group), key.topic)
	return binary.BigEndian.AppendUint32(b, uint32(key.partition))
}

// offsetKeyBytes is what a key takes beside its texts, offsetValueBytes what a value takes beside its metadata, at most.
const (
	offsetKeyBytes   = 2 + 2 + 2 + 4
	offsetValueBytes = 2 + 8 + 4 + 3 + 8 + 3 + len(model.TopicID{})
)

// offsetRecord is a committed offset as it is stored. Key and value share their memory.
func offsetRecord(group string, key offsetKey, c *committed) Record {
	b := make([]byte, 0, offsetKeyBytes+len(group)+len(key.topic)+offsetValueBytes+len(c.metadata))
	b = appendOffsetKey(b, group, key)
	n := len(b)
	b = appendOffsetValue(b, c)
	return Record{Key: b[:n:n], Value: b[n:]}
}

func appendOffsetValue(b []byte, c *committed) []byte {
	if c.expires >= 0 {
		b = binary.BigEndian.AppendUint16(b, offsetExpiring)
		b = binary.BigEndian.AppendUint64(b, uint64(c.offset))
		b = appendShortText(b, c.metadata)
		b = binary.BigEndian.AppendUint64(b, uint64(c.at))
		return binary.BigEndian.AppendUint64(b, uint64(c.expires))
	}
	b = binary.BigEndian.AppendUint16(b, offsetPlain)
	b = binary.BigEndian.AppendUint64(b, uint64(c.offset))
	b = binary.BigEndian.AppendUint32(b, uint32(c.epoch))
	b = append(binary.AppendUvarint(b, uint64(len(c.metadata)+1)), c.metadata...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.at))
	if c.topic.IsZero() {
		return append(b, 0)
	}
	return append(append(b, 1, 0, byte(len(c.topic))), c.topic[:]...)
}

func appendGroupKey(b []byte, group string) []byte {
	return appendShortText(binary.BigEndian.AppendUint16(b, keyGroup), group)
}

// groupRecord is a group as its record has it.
type groupRecord struct {
	kind       string // protocol type
	generation int32
	protocol   *string
	leader     *string
	since      int64 // -1: not known
	members    []memberRecord
}

type memberRecord struct {
	id                       string
	instance                 *string
	client, host             string
	rebalance, session       int32 // rebalance -1: as session
	subscription, assignment []byte
}

func (g *groupRecord) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, groupValue)
	b = appendShortText(b, g.kind)
	b = binary.BigEndian.AppendUint32(b, uint32(g.generation))
	b = appendShortTextMaybe(appendShortTextMaybe(b, g.protocol), g.leader)
	b = binary.BigEndian.AppendUint64(b, uint64(g.since))
	b = binary.BigEndian.AppendUint32(b, uint32(len(g.members)))
	for i := range g.members {
		m := &g.members[i]
		b = appendShortTextMaybe(appendShortText(b, m.id), m.instance)
		b = appendShortText(appendShortText(b, m.client), m.host)
		b = binary.BigEndian.AppendUint32(b, uint32(m.rebalance))
		b = binary.BigEndian.AppendUint32(b, uint32(m.session))
		b = appendBytes(appendBytes(b, m.subscription), m.assignment)
	}
	return b
}

// cursor reads a record's key or value. After the first thing that does not fit it reads zeroes and bad is set.
type cursor struct {
	b        []byte
	flexible bool
	bad      bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n < 0 || n > len(c.b) {
		c.bad = true
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) int16() int16 {
	if v := c.take(2); v != nil {
		return int16(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if v := c.take(4); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

func (c *cursor) int64() int64 {
	if v := c.take(8); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// length reads what a flexible value has before texts, bytes and lists: the length plus one.
func (c *cursor) length() int {
	n, size := binary.Uvarint(c.b)
	if c.bad || size <= 0 || n > 1<<31 {
		c.bad = true
		return -1
	}
	c.b = c.b[size:]
	return int(n) - 1
}

func (c *cursor) textMaybe() *string {
	n := 0
	if c.flexible {
		n = c.length()
	} else {
		n = int(c.int16())
	}
	if c.bad || n < 0 {
		return nil
	}
	s := string(c.take(n))
	return &s
}

func (c *cursor) text() string {
	s := c.textMaybe()
	if s == nil {
		c.bad = true
		return ""
	}
	return *s
}

func (c *cursor) bytes() []byte {
	n := c.count()
	if n < 0 {
		c.bad = true
		return nil
	}
	return append([]byte{}, c.take(n)...)
}

// count is the length of bytes or of a list; what follows has at least one byte an element.
func (c *cursor) count() int {
	n := 0
	if c.flexible {
		n = c.length()
	} else {
		n = int(c.int32())
	}
	if n > len(c.b) {
		c.bad = true
		return 0
	}
	return n
}

// tags yields the tagged fields of a structure.
func (c *cursor) tags(yield func(tag uint64, content []byte)) {
	if !c.flexible {
		return
	}
	for n := c.length() + 1; n > 0 && !c.bad; n-- {
		tag := uint64(c.length() + 1)
		content := c.take(c.length() + 1)
		if !c.bad && yield != nil {
			yield(tag, content)
		}
	}
}

func parseOffsetValue(b []byte) (committed, error) {
	c := cursor{b: b}
	version := c.int16()
	if !c.bad && (version < 0 || version > offsetValueLast) {
		return committed{}, fmt.Errorf("offset of version %d: %w", version, ErrRecord)
	}
	c.flexible = version >= 4
	v := committed{offset: c.int64(), epoch: model.NoEpoch, expires: -1}
	if version >= 3 {
		v.epoch = model.Epoch(c.int32())
	}
	v.metadata, v.at = c.text(), c.int64()
	if version == 1 {
		v.expires = c.int64()
	}
	c.tags(func(tag uint64, content []byte) {
		if tag == 0 && len(content) == len(v.topic) {
			copy(v.topic[:], content)
		}
	})
	if c.bad {
		return committed{}, fmt.Errorf("offset: %w", ErrRecord)
	}
	return v, nil
}

func parseGroupValue(b []byte) (groupRecord, error) {
	c := cursor{b: b}
	version := c.int16()
	if !c.bad && (version < 0 || version > groupValueLast) {
		return groupRecord{}, fmt.Errorf("group of version %d: %w", version, ErrRecord)
	}
	c.flexible = version >= 4
	g := groupRecord{kind: c.text(), generation: c.int32(), protocol: c.textMaybe(), leader: c.textMaybe(), since: -1}
	if version >= 2 {
		g.since = c.int64()
	}
	for n := c.count(); n > 0 && !c.bad; n-- {
		m := memberRecord{id: c.text(), rebalance: -1}
		if version >= 3 {
			m.instance = c.textMaybe()
		}
		m.client, m.host = c.text(), c.text()
		if version >= 1 {
			m.rebalance = c.int32()
		}
		m.session = c.int32()
		m.subscription, m.assignment = c.bytes(), c.bytes()
		c.tags(nil)
		g.members = append(g.members, m)
	}
	c.tags(nil)
	if c.bad {
		return groupRecord{}, fmt.Errorf("group: %w", ErrRecord)
	}
	return g, nil
}

// subscribed reads the topics a consumer subscribes to from what it says about itself: a version, a list of topics and more that is not
// looked at. Members of other protocols say what they like; ok is false then.
func subscribed(metadata []byte, into map[string]bool) (ok bool) {
	c := cursor{b: metadata}
	if c.int16() < 0 {
		return false
	}
	for n := c.count(); n > 0 && !c.bad; n-- {
		into[c.text()] = true
	}
	return !c.bad
}
