package front

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// metadataRequest asks for topics by name, or for all.
func metadataRequest(names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// differ shows two values that are not the same.
func differ(want, got any) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return fmt.Sprintf("want %.2000v\ngot  %.2000v", fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got))
}

// encodedByShards is how many partitions of Metadata answers the shards encoded themselves, and how many sheets helpers printed.
func (n *node) encodedByShards() (partitions, sheets uint64) {
	for i := range n.front.desks {
		st := n.desk(i)
		partitions += st.MetadataPartitions
		sheets = st.Sheets
	}
	return partitions, sheets
}

// TestLargeMetadataSaysWhatSmallOnesSay compares answers that come from a sheet with those of the same topics one by one, in every version
// and with every kind of request.
func TestLargeMetadataSaysWhatSmallOnesSay(t *testing.T) {
	n := startNode(t, 2)
	widths := map[string]int32{"a.wide": 200, "b": 1, "c": 31, "d.wide": 255, "e": 3}
	for name, width := range widths {
		n.create(name, width, nil)
	}
	c := n.dial()
	for version := int16(0); version <= 13; version++ {
		for _, operations := range []bool{false, true} {
			if operations && (version < 8 || version > 10) {
				continue
			}
			request := func(names ...string) *kmsg.MetadataRequest {
				req := metadataRequest(names...)
				req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = operations, operations
				return req
			}
			_, sheets := n.encodedByShards()
			all := c.call(request(), version).(*kmsg.MetadataResponse)
			if _, after := n.encodedByShards(); after != sheets+1 {
				t.Fatalf("version %d: %d sheets printed, want one", version, after-sheets)
			}
			var want *kmsg.MetadataResponse
			for _, name := range []string{"a.wide", "b", "c", "d.wide", "e"} {
				one := c.call(request(name), version).(*kmsg.MetadataResponse)
				if len(one.Topics) != 1 || len(one.Topics[0].Partitions) != int(widths[name]) {
					t.Fatalf("version %d: %s has %d topics", version, name, len(one.Topics))
				}
				if want == nil {
					want = one
					continue
				}
				want.Topics = append(want.Topics, one.Topics...)
			}
			if diff := differ(want, all); diff != "" {
				t.Fatalf("version %d: all topics (-one by one +at once):\n%s", version, diff)
			}
			// In the client's own order, with topics that are not there or cannot be.
			names := []string{"e", "d.wide", "no/name", "a.wide", "missing"}
			req := request(names...)
			req.AllowAutoTopicCreation = false
			if version < 4 {
				req = request("e", "d.wide", "no/name", "a.wide")
			}
			named := c.call(req, version).(*kmsg.MetadataResponse)
			for i, topic := range named.Topics {
				at := slices.IndexFunc(want.Topics, func(w kmsg.MetadataResponseTopic) bool { return *w.Topic == names[i] })
				switch {
				case *topic.Topic != names[i]:
					t.Fatalf("version %d: topic %d is %s", version, i, *topic.Topic)
				case at >= 0:
					if diff := differ(want.Topics[at], topic); diff != "" {
						t.Fatalf("version %d: %s by name (-alone +with others):\n%s", version, names[i], diff)
					}
				case topic.ErrorCode == 0 || len(topic.Partitions) > 0:
					t.Fatalf("version %d: %s has error %d", version, names[i], topic.ErrorCode)
				}
			}
			if len(named.Topics) != len(req.Topics) {
				t.Fatalf("version %d: %d topics of %d", version, len(named.Topics), len(req.Topics))
			}
			if version >= 12 {
				req := request()
				for _, w := range want.Topics {
					topic := kmsg.NewMetadataRequestTopic()
					topic.TopicID = w.TopicID
					req.Topics = append(req.Topics, topic)
				}
				unknown := kmsg.NewMetadataRequestTopic()
				unknown.TopicID = [16]byte{1}
				req.Topics = append(req.Topics, unknown)
				byID := c.call(req, version).(*kmsg.MetadataResponse)
				if diff := differ(want.Topics, byID.Topics[:len(want.Topics)]); diff != "" {
					t.Fatalf("version %d: by id:\n%s", version, diff)
				}
				if last := byID.Topics[len(want.Topics)]; last.Topic != nil || last.ErrorCode != int16(wire.CodeUnknownTopicID) || last.TopicID != unknown.TopicID {
					t.Fatalf("version %d: an unknown id is answered with %+v", version, last)
				}
			}
		}
	}
}

// TestShardsDoNotEncodeLargeMetadata: who encodes ten thousand partitions is a helper, once for each image, whichever shards are asked.
func TestShardsDoNotEncodeLargeMetadata(t *testing.T) {
	n := startNode(t, 2)
	wide := n.create("wide", 10_000, nil)
	clients := []*client{n.dialHome(0), n.dialHome(1)}
	ask := func(what string, sheets uint64, req *kmsg.MetadataRequest, partitions int) {
		t.Helper()
		before, printed := n.encodedByShards()
		for range 5 {
			for _, c := range clients {
				resp := c.call(req, 12).(*kmsg.MetadataResponse)
				got := 0
				for _, topic := range resp.Topics {
					got += len(topic.Partitions)
				}
				if got != partitions {
					t.Fatalf("%s: %d partitions, want %d", what, got, partitions)
				}
			}
		}
		after, now := n.encodedByShards()
		if after != before {
			t.Errorf("%s: the shards encoded %d partitions", what, after-before)
		}
		if now-printed != sheets {
			t.Errorf("%s: %d sheets were printed, want %d", what, now-printed, sheets)
		}
	}
	ask("first", 1, metadataRequest(), 10_000)
	ask("by name", 0, metadataRequest("wide"), 10_000)
	n.create("other", 300, nil)
	ask("after a change", 1, metadataRequest(), 10_300)
	n.remove(wide)
	ask("after a deletion", 1, metadataRequest(), 300)
}

// BenchmarkMetadata is what a request for all topics takes, round trip and client included.
func BenchmarkMetadata(b *testing.B) {
	for _, partitions := range []int32{100, 10_000} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			n := startNode(b, 1)
			for from := int32(0); from < partitions; from += 100 {
				n.create(fmt.Sprintf("t%d", from), 100, nil)
			}
			c := n.dial()
			began := n.busy()
			for b.Loop() {
				corr := c.send(metadataRequest(), 12)
				if _, err := c.frame(); err != nil {
					b.Fatal(corr, err)
				}
			}
			b.ReportMetric(float64(n.busy()-began)/float64(b.N)/1e3, "shard-us/op")
		})
	}
}
