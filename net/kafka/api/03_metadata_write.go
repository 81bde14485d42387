package api

import (
	"encoding/binary"

	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/net/kafka/wire"
)

// metadataTopic is one topic of a Metadata answer before it is bytes. topic is nil where code says why.
type metadataTopic struct {
	code       wire.ErrorCode
	name       *string // nil only in answers to a topic id that is not known
	id         model.TopicID
	topic      *placement.Topic
	operations int32
}

// noOperations stands where the operations a client may do were not asked for.
const noOperations int32 = -1 << 31

// metadataFlexible is the first flexible version.
const metadataFlexible = 9

// appendMetadataTopic appends one element of the answer's topics array.
func appendMetadataTopic(b []byte, version int16, naming placement.Naming, m *metadataTopic) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(m.code))
	switch {
	case version < metadataFlexible && m.name == nil:
		b = append(b, 0, 0)
	case version < metadataFlexible:
		b = binary.BigEndian.AppendUint16(b, uint16(len(*m.name)))
		b = append(b, *m.name...)
	case m.name == nil && version >= 12:
		b = append(b, 0)
	case m.name == nil:
		b = append(b, 1)
	default:
		b = binary.AppendUvarint(b, uint64(len(*m.name))+1)
		b = append(b, *m.name...)
	}
	if version >= 10 {
		b = append(b, m.id[:]...)
	}
	if version >= 1 {
		internal := byte(0)
		if m.topic != nil && m.topic.Internal {
			internal = 1
		}
		b = append(b, internal)
	}
	b = appendMetadataPartitions(b, version, naming, m.topic)
	if version >= 8 {
		b = binary.BigEndian.AppendUint32(b, uint32(m.operations))
	}
	if version >= metadataFlexible {
		b = append(b, 0)
	}
	return b
}

func appendMetadataPartitions(b []byte, version int16, naming placement.Naming, topic *placement.Topic) []byte {
	n := int32(0)
	if topic != nil {
		n = topic.Partitions()
	}
	b = appendMetadataCount(b, version, int(n))
	for i := range n {
		p := topic.Partition(i)
		code := wire.CodeNone
		if p.Leader == placement.NoLeader {
			code = wire.CodeLeaderNotAvailable
		}
		b = binary.BigEndian.AppendUint16(b, uint16(code))
		b = binary.BigEndian.AppendUint32(b, uint32(i))
		b = binary.BigEndian.AppendUint32(b, uint32(naming.Leader(p)))
		if version >= 7 {
			b = binary.BigEndian.AppendUint32(b, uint32(p.LeaderEpoch))
		}
		b = appendMetadataCount(b, version, len(p.Replicas))
		for _, replica := range p.Replicas {
			b = binary.BigEndian.AppendUint32(b, uint32(naming.Replica(replica)))
		}
		b = appendMetadataCount(b, version, len(p.ISR))
		for _, node := range p.ISR {
			b = binary.BigEndian.AppendUint32(b, uint32(naming.Holder(p, node)))
		}
		if version >= 5 {
			b = appendMetadataCount(b, version, 0) // offline replicas
		}
		if version >= metadataFlexible {
			b = append(b, 0)
		}
	}
	return b
}

// appendMetadataCount appends the length of an array.
func appendMetadataCount(b []byte, version int16, n int) []byte {
	if version >= metadataFlexible {
		return binary.AppendUvarint(b, uint64(n)+1)
	}
	return binary.BigEndian.AppendUint32(b, uint32(n))
}
