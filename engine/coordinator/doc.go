// Package coordinator gives the groups of a shard their place: for each partition of __consumer_offsets that the shard owns a seat, which
// holds a group.Coordinator, reads its records when the shard becomes their owner, appends what it decides, and carries requests and
// answers as mail. A Set belongs to one shard. The rooms for transactions and for other kinds of groups belong into the same seats.
//
//	home shard ──Ask──> seat ──> group.Coordinator ──records──> partition of the same shard
//	     ^                                    │                        │ durable
//	     └────────────answer──────────────────┴<───────────────────────┘
//
// It refuses to know the protocol, and decides nothing about groups. Where a group belongs is decided here alone (Place), as Kafka does it.
package coordinator

import "unicode/utf16"

// Topic is where groups are kept, in Kafka's formats. Fixed by Kafka.
const Topic = "__consumer_offsets"

// Place is the partition of so many that keeps a group: Kafka's, so that its directories can be adopted.
func Place(group string, partitions int32) int32 {
	h := int32(0)
	for _, r := range group {
		if a, b := utf16.EncodeRune(r); a != 0xfffd {
			h = 31*(31*h+int32(a)) + int32(b)
			continue
		}
		h = 31*h + int32(r)
	}
	if h == -1<<31 {
		return 0
	}
	if h < 0 {
		h = -h
	}
	return h % partitions
}
