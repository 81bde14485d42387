package wire

import "pinion/engine/model"

// LeaderHint tells a client where a partition's leader is, so that it needs no Metadata round trip (KIP-951). The zero
// value says nothing and is not sent.
type LeaderHint struct {
	Known bool
	Node  model.BrokerID // -1 = there is no leader
	Epoch model.Epoch
}

// leaderHintBytes is the content of the tagged field: node, epoch, no tags.
const leaderHintBytes = 4 + 4 + 1

func appendLeaderHint(dst []byte, tag uint32, h LeaderHint) []byte {
	dst = appendUvarint(dst, tag)
	dst = append(dst, leaderHintBytes)
	dst = appendInt32(dst, int32(h.Node))
	dst = appendInt32(dst, int32(h.Epoch))
	return append(dst, 0)
}

// ReplicaHint sends a consumer to a replica nearer to it (KIP-392). The zero value keeps it where it is.
type ReplicaHint struct {
	Known bool
	Node  model.BrokerID
}

func appendReplicaHint(dst []byte, h ReplicaHint) []byte {
	if !h.Known {
		return appendInt32(dst, -1)
	}
	return appendInt32(dst, int32(h.Node))
}

// Endpoint is where a broker named in a LeaderHint listens.
type Endpoint struct {
	Node model.BrokerID
	Host string
	Port int32
	Rack string // "" = null
}

func (e *Endpoint) bytes() int {
	n := 4 + textBytes(e.Host) + 4 + 1
	if e.Rack == "" {
		return n + 1
	}
	return n + textBytes(e.Rack)
}

// appendEndpoints writes a response's closing tagged fields: the endpoints as tag 0, or none.
func appendEndpoints(dst []byte, nodes []Endpoint) []byte {
	if len(nodes) == 0 {
		return append(dst, 0)
	}
	size := uvarintBytes(uint32(len(nodes)) + 1)
	for i := range nodes {
		size += nodes[i].bytes()
	}
	dst = append(dst, 1, 0)
	dst = appendUvarint(dst, uint32(size))
	dst = appendCount(dst, len(nodes), true)
	for i := range nodes {
		e := &nodes[i]
		dst = appendInt32(dst, int32(e.Node))
		dst = appendText(dst, e.Host, true)
		dst = appendInt32(dst, e.Port)
		dst = appendNullable(dst, e.Rack, true)
		dst = append(dst, 0)
	}
	return dst
}
