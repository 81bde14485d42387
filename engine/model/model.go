// Package model holds the nouns every floor shares: ids, offsets, epochs. It has no behaviour beyond formatting and
// comparing, owns no state and imports only the standard library.
package model

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
)

// NodeID names a Pinion process (Kafka's node.id). Negative values are not valid.
type NodeID int32

// BrokerID names a broker as clients see it: a node, or one core of a node (placement.Naming). Negative values mean that there is none.
type BrokerID int32

// ShardID names one shard (one pinned thread) of a node, counted from 0.
type ShardID int32

// NoShard stands where no shard is known.
const NoShard ShardID = -1

// Offset is a record's position in a partition.
type Offset int64

// Epoch is a leader epoch (KIP-101). NoEpoch is what clients send when they do not know one.
type Epoch int32

// NoEpoch is the wire value for "unknown leader epoch".
const NoEpoch Epoch = -1

// Revision counts published images of the catalogue. A later revision wins.
type Revision uint64

// TopicID is the identity of one incarnation of a topic (KIP-516). The zero value means "no id".
type TopicID [16]byte

// IsZero reports whether no id is set.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// Compare orders ids bytewise.
func (id TopicID) Compare(other TopicID) int { return bytes.Compare(id[:], other[:]) }

// String is Kafka's form: URL-safe base64 without padding, 22 characters.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseTopicID reads the form String writes.
func ParseTopicID(s string) (TopicID, error) {
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return TopicID{}, fmt.Errorf("topic id %q: %w", s, err)
	}
	if len(raw) != len(TopicID{}) {
		return TopicID{}, fmt.Errorf("topic id %q: %w", s, errTopicIDLength)
	}
	return TopicID(raw), nil
}

var errTopicIDLength = errors.New("want 16 bytes in base64")

// DirectoryID is the identity of one log directory (directory.id in meta.properties, KIP-858). The zero value means that nobody has said:
// a node with one log directory needs none.
type DirectoryID [16]byte

// IsZero reports whether no id is set.
func (id DirectoryID) IsZero() bool { return id == DirectoryID{} }

// String is Kafka's form, as a topic id's.
func (id DirectoryID) String() string { return TopicID(id).String() }

// ParseDirectoryID reads the form String writes.
func ParseDirectoryID(s string) (DirectoryID, error) {
	id, err := ParseTopicID(s)
	if err != nil {
		return DirectoryID{}, fmt.Errorf("directory id %q is not 16 bytes in base64", s)
	}
	return DirectoryID(id), nil
}

// Partition names one partition of one incarnation of a topic.
type Partition struct {
	Topic TopicID
	Index int32
}

// Compare orders partitions by topic, then by index.
func (p Partition) Compare(other Partition) int {
	if c := p.Topic.Compare(other.Topic); c != 0 {
		return c
	}
	return cmp.Compare(p.Index, other.Index)
}

func (p Partition) String() string { return fmt.Sprintf("%s-%d", p.Topic, p.Index) }
