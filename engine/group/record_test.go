package group

import (
	"bytes"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"pinion/engine/model"
)

var drawText = rapid.StringN(0, 20, 60)

func drawTextMaybe(t *rapid.T, label string) *string {
	if rapid.Bool().Draw(t, label+" is there") {
		s := drawText.Draw(t, label)
		return &s
	}
	return nil
}

// What is written is what kmsg writes for the same, byte for byte, and reads.
func TestRecordsAreKafkas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		group, key := drawText.Draw(t, "group"), offsetKey{drawText.Draw(t, "topic"), rapid.Int32().Draw(t, "partition")}
		k := kmsg.NewOffsetCommitKey()
		k.Version, k.Group, k.Topic, k.Partition = keyOffset, group, key.topic, key.partition
		same(t, "key of an offset", appendOffsetKey(nil, group, key), k.AppendTo(nil))
		v := committed{offset: rapid.Int64().Draw(t, "offset"), epoch: model.Epoch(rapid.Int32().Draw(t, "epoch")), metadata: drawText.Draw(t, "metadata"),
			at: rapid.Int64().Draw(t, "at"), expires: -1}
		if rapid.Bool().Draw(t, "expires") {
			v.expires, v.epoch = rapid.Int64Min(0).Draw(t, "expires at"), model.NoEpoch
		} else if rapid.Bool().Draw(t, "with id") {
			copy(v.topic[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		}
		o := kmsg.NewOffsetCommitValue()
		o.Version, o.Offset, o.LeaderEpoch, o.Metadata, o.CommitTimestamp, o.ExpireTimestamp, o.TopicID = offsetPlain, v.offset, int32(v.epoch), v.metadata, v.at, v.expires, v.topic
		if v.expires >= 0 {
			o.Version = offsetExpiring
		}
		raw := appendOffsetValue(nil, &v)
		same(t, "value of an offset", raw, o.AppendTo(nil))
		if got, err := parseOffsetValue(raw); err != nil || got != v {
			t.Fatalf("%+v became %+v, %v", v, got, err)
		}
	})
}

func same(t *rapid.T, what string, got, want []byte) {
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %x, kmsg writes %x", what, got, want)
	}
}

// A group in every version that Kafka ever wrote is read for what kmsg wrote, and written as kmsg writes it.
func TestGroupRecordsAreKafkas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		version := rapid.Int16Range(0, groupValueLast).Draw(t, "version")
		v := kmsg.NewGroupMetadataValue()
		v.Version, v.ProtocolType, v.Generation = version, drawText.Draw(t, "type"), rapid.Int32().Draw(t, "generation")
		v.Protocol, v.Leader = drawTextMaybe(t, "protocol"), drawTextMaybe(t, "leader")
		want := groupRecord{kind: v.ProtocolType, generation: v.Generation, protocol: v.Protocol, leader: v.Leader, since: -1}
		if version >= 2 {
			v.CurrentStateTimestamp = rapid.Int64().Draw(t, "since")
			want.since = v.CurrentStateTimestamp
		}
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			m := kmsg.NewGroupMetadataValueMember()
			m.MemberID, m.ClientID, m.ClientHost = drawText.Draw(t, "id"), drawText.Draw(t, "client"), drawText.Draw(t, "host")
			m.SessionTimeoutMillis = rapid.Int32().Draw(t, "session")
			m.Subscription, m.Assignment = rapid.SliceOf(rapid.Byte()).Draw(t, "subscription"), rapid.SliceOf(rapid.Byte()).Draw(t, "assignment")
			if version >= 1 {
				m.RebalanceTimeoutMillis = rapid.Int32().Draw(t, "rebalance")
			}
			if version >= 3 {
				m.InstanceID = drawTextMaybe(t, "instance")
			}
			v.Members = append(v.Members, m)
			want.members = append(want.members, memberRecord{id: m.MemberID, instance: m.InstanceID, client: m.ClientID, host: m.ClientHost,
				rebalance: m.RebalanceTimeoutMillis, session: m.SessionTimeoutMillis, subscription: m.Subscription, assignment: m.Assignment})
		}
		raw := v.AppendTo(nil)
		got, err := parseGroupValue(raw)
		if err != nil {
			t.Fatalf("%x: %v", raw, err)
		}
		v.Version = groupValue
		if version < 2 {
			v.CurrentStateTimestamp = -1
		}
		same(t, "group", got.append(nil), v.AppendTo(nil))
	})
}

// Half a record is no record, and nothing that is read is taken for longer than it is.
func TestMalformedRecords(t *testing.T) {
	v := committed{offset: 1, metadata: "words", expires: -1, topic: model.TopicID{1}}
	offset := appendOffsetValue(nil, &v)
	g := groupRecord{kind: consumers, members: []memberRecord{{id: "a", subscription: []byte{1}, assignment: []byte{2}}}}
	whole := g.append(nil)
	for n := range offset {
		if _, err := parseOffsetValue(offset[:n]); !errors.Is(err, ErrRecord) {
			t.Errorf("%d bytes of an offset: %v", n, err)
		}
	}
	for n := range whole {
		if _, err := parseGroupValue(whole[:n]); !errors.Is(err, ErrRecord) {
			t.Errorf("%d bytes of a group: %v", n, err)
		}
	}
	c := New(plain, nil)
	for _, key := range [][]byte{nil, {0}, {0, 1}, {0, 2, 0, 9}, appendOffsetKey(nil, "g", offsetKey{})[:6]} {
		if _, err := c.Replay(key, offset); !errors.Is(err, ErrRecord) {
			t.Errorf("key %x: %v", key, err)
		}
	}
	if known, err := c.Replay([]byte{0, 3, 0, 1, 'g'}, []byte{0, 0}); known || err != nil {
		t.Errorf("a record of another kind of group: known %v, %v", known, err)
	}
	// A member that is there twice would be two.
	twice := groupRecord{kind: consumers, members: []memberRecord{{id: "a"}, {id: "a"}}}
	if _, err := c.Replay(appendGroupKey(nil, "g"), twice.append(nil)); !errors.Is(err, ErrRecord) {
		t.Errorf("a member twice: %v", err)
	}
}

func FuzzReplay(f *testing.F) {
	v := committed{offset: 1, metadata: "words", expires: -1}
	f.Add(appendOffsetKey(nil, "g", offsetKey{"t", 0}), appendOffsetValue(nil, &v))
	g := groupRecord{kind: consumers, members: []memberRecord{{id: "a"}}}
	f.Add(appendGroupKey(nil, "g"), g.append(nil))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		c := New(plain, func() [16]byte { return [16]byte{} })
		c.Replay(key, value)
		c.Loaded(c.now)
	})
}
