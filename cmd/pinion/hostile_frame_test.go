package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// everyRequest is a meaningful request for every key and version served.
func everyRequest(topic string, id [16]byte) []kmsg.Request {
	var list []kmsg.Request
	for i := range wire.Keys {
		api := &wire.Keys[i]
		for version := api.Min; version <= api.Max; version++ {
			list = append(list, aRequest(api.Key, version, topic, id))
		}
	}
	return list
}

func aRequest(key, version int16, topic string, id [16]byte) kmsg.Request {
	var req kmsg.Request
	switch key {
	case wire.KeyProduce:
		r := produceRequest(topic, 0, aBatch(3, 20))
		r.Topics[0].TopicID = id
		req = r
	case wire.KeyFetch:
		r := fetchRequest(topic, 0, 0, 1<<16)
		r.Topics[0].TopicID = id
		forgotten := kmsg.NewFetchRequestForgottenTopic()
		forgotten.Topic, forgotten.TopicID, forgotten.Partitions = topic, id, []int32{1, 2}
		r.ForgottenTopics = append(r.ForgottenTopics, forgotten)
		req = r
	case wire.KeyListOffsets:
		req = offsetsRequest(topic, 0, -1)
	case wire.KeyMetadata:
		r := kmsg.NewPtrMetadataRequest()
		entry := kmsg.NewMetadataRequestTopic()
		entry.Topic = &topic
		r.Topics = append(r.Topics, entry)
		req = r
	case wire.KeyAPIVersions:
		r := kmsg.NewPtrApiVersionsRequest()
		r.ClientSoftwareName, r.ClientSoftwareVersion = "hostile", "1.0"
		req = r
	case wire.KeyCreateTopics:
		r := kmsg.NewPtrCreateTopicsRequest()
		entry := kmsg.NewCreateTopicsRequestTopic()
		entry.Topic, entry.NumPartitions, entry.ReplicationFactor = topic, 2, 1
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = "retention.ms", new("1000")
		entry.Configs = append(entry.Configs, c)
		r.Topics, r.ValidateOnly = append(r.Topics, entry), true
		req = r
	case wire.KeyDeleteTopics:
		r := kmsg.NewPtrDeleteTopicsRequest()
		r.TopicNames = []string{"nothing"}
		entry := kmsg.NewDeleteTopicsRequestTopic()
		entry.Topic = new("nothing")
		r.Topics = append(r.Topics, entry)
		req = r
	case wire.KeyInitProducerID:
		r := kmsg.NewPtrInitProducerIDRequest()
		r.ProducerID, r.ProducerEpoch = -1, -1
		req = r
	case wire.KeyOffsetForLeaderEpoch:
		r := kmsg.NewPtrOffsetForLeaderEpochRequest()
		part := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		part.CurrentLeaderEpoch = -1
		entry := kmsg.NewOffsetForLeaderEpochRequestTopic()
		entry.Topic = topic
		entry.Partitions = append(entry.Partitions, part)
		r.Topics, r.ReplicaID = append(r.Topics, entry), -2
		req = r
	default:
		if req = adminRequest(key, topic); req == nil {
			req = groupRequest(key, topic)
		}
		if req == nil {
			req = clusterRequest(key, topic)
		}
		if req == nil {
			panic(fmt.Sprintf("no request for key %d", key))
		}
	}
	req.SetVersion(version)
	return req
}

// rawFrame is a frame with a header of version 1 and any body.
func rawFrame(key, version int16, body []byte) []byte {
	b := make([]byte, 4, 32+len(body))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 7)
	b = binary.BigEndian.AppendUint16(b, 0xffff) // null client id
	b = append(b, body...)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func TestHostileFramesAreRefusedAsKafkaRefusesThem(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	id := v.topic("t", 2)
	bystander := v.dial()
	defer bystander.Close()
	before := v.rss()

	length := func(n int32, rest string) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(n)), rest...)
	}
	closed := map[string][]byte{
		"negative length":               length(-1, "\x00\x03\x00\x00\x00\x00\x00\x01"),
		"negative length and no more":   length(-1, ""),
		"least length":                  length(math.MinInt32, "\x00\x03\x00\x00"),
		"length above the limit":        length(104857601, "\x00\x00\x00\x09"),
		"length above it and no more":   length(104857601, ""),
		"length 0":                      length(0, "\x00\x03\x00\x00"),
		"length of half a header":       length(6, "\x00\x03\x00\x00\x00\x01"),
		"length above the key's limit":  length(2<<20, "\x00\x12\x00\x00\x00\x00\x00\x01"),
		"unknown key":                   rawFrame(999, 0, nil),
		"negative key":                  rawFrame(-1, 0, nil),
		"a broker's key":                rawFrame(4, 0, nil),
		"a key not served yet":          rawFrame(24, 3, nil),
		"version below":                 rawFrame(wire.KeyFetch, 3, nil),
		"version above":                 rawFrame(wire.KeyFetch, 19, nil),
		"negative version":              rawFrame(wire.KeyMetadata, -1, nil),
		"Produce 0 to 2":                rawFrame(wire.KeyProduce, 2, nil),
		"client id longer than frame":   length(12, "\x00\x03\x00\x00\x00\x00\x00\x01\x7f\xffab"),
		"client id of length -2":        length(10, "\x00\x03\x00\x00\x00\x00\x00\x01\xff\xfe"),
		"tag count of 2^32-1":           rawFrame(wire.KeyAPIVersions, 3, []byte("\xff\xff\xff\xff\x0f")),
		"Metadata of 2^31-1 topics":     rawFrame(wire.KeyMetadata, 1, []byte("\x7f\xff\xff\xff")),
		"Produce of 2^31-1 topics":      rawFrame(wire.KeyProduce, 3, []byte("\xff\xff\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xff")),
		"Produce, null topics":          rawFrame(wire.KeyProduce, 3, []byte("\xff\xff\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff")),
		"topic name longer than frame":  rawFrame(wire.KeyMetadata, 1, []byte("\x00\x00\x00\x01\x7f\xff")),
		"records longer than the frame": rawFrame(wire.KeyProduce, 3, []byte("\xff\xff\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x01t\x00\x00\x00\x01\x00\x00\x00\x00\x7f\xff\xff\xff")),
	}
	for name, bytes := range closed {
		if name == "client id of length -2" {
			continue // Kafka reads any negative length as null
		}
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			p := v.dial()
			if err := p.send(bytes); err != nil {
				t.Fatal(err)
			}
			p.closes(name)
		})
	}
	// An oversized frame is refused by its length, long before its body could arrive.
	if grown := v.rss() - before; grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
	if _, err := bystander.try(aRequest(wire.KeyMetadata, 12, "t", id)); err != nil {
		t.Errorf("another connection was disturbed: %v", err)
	}
	if end := v.end("t", 0); end != 0 {
		t.Errorf("%d records of refused requests are in the log", end)
	}
	v.withinBudgets()
}

// TestTruncatedFramesLeaveNothingBehind cuts every request of every version at every byte and ends the connection there.
func TestTruncatedFramesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	id := v.topic("t", 2)
	bystander := v.dial()
	defer bystander.Close()
	for _, req := range everyRequest("t", id) {
		frame := encode(req, 1)
		step := max(1, len(frame)/12)
		for n := 1; n < len(frame); n += step {
			// Cut: the sender is gone in the middle of the frame.
			p := v.dial()
			if err := p.send(frame[:n]); err != nil {
				t.Fatal(err)
			}
			p.Close()
			// Lying: the frame says that what is there is all.
			if n < 12 {
				continue
			}
			short := append([]byte(nil), frame[:n]...)
			binary.BigEndian.PutUint32(short, uint32(n-4))
			p = v.dial()
			if err := p.send(short); err != nil {
				t.Fatal(err)
			}
			if _, err := p.frame(); err == nil && req.Key() != wire.KeyAPIVersions {
				t.Errorf("%s v%d cut to %d of %d bytes is answered", kmsg.NameForKey(req.Key()), req.GetVersion(), n, len(frame))
			} else if timeout(err) {
				t.Errorf("%s v%d cut to %d of %d bytes is neither answered nor refused", kmsg.NameForKey(req.Key()), req.GetVersion(), n, len(frame))
			}
			p.Close()
		}
		if _, err := bystander.try(aRequest(wire.KeyMetadata, 12, "t", id)); err != nil {
			t.Fatalf("another connection was disturbed: %v", err)
		}
	}
	if end := v.end("t", 0); end != 0 {
		t.Errorf("%d records of truncated requests are in the log", end)
	}
	v.alive()
	v.withinBudgets()
}

// TestUnknownVersionOfApiVersionsIsAnsweredInVersionZero is KIP-511: the one request that may be answered in another version.
func TestUnknownVersionOfApiVersionsIsAnsweredInVersionZero(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	for _, version := range []int16{5, 99, math.MaxInt16, -1} {
		p := v.dial()
		if err := p.send(rawFrame(wire.KeyAPIVersions, version, []byte("\xff\xff\xff\xff\xff"))); err != nil {
			t.Fatal(err)
		}
		frame, err := p.frame()
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		resp := kmsg.NewPtrApiVersionsResponse()
		if err := resp.ReadFrom(frame[4:]); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if resp.ErrorCode != 35 || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 || resp.ApiKeys[0].MaxVersion < 3 {
			t.Errorf("version %d: %+v", version, resp)
		}
		// The client now asks again in a version that both know, on the same connection.
		if again := p.ask(aRequest(wire.KeyAPIVersions, 3, "", [16]byte{})).(*kmsg.ApiVersionsResponse); again.ErrorCode != 0 {
			t.Errorf("version 3 after it: error %d", again.ErrorCode)
		}
		p.Close()
	}
	p := v.dial()
	defer p.Close()
	bad := aRequest(wire.KeyAPIVersions, 3, "", [16]byte{}).(*kmsg.ApiVersionsRequest)
	bad.ClientSoftwareName = "-no name-"
	if resp := p.ask(bad).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 42 {
		t.Errorf("a software name that is none: error %d, want INVALID_REQUEST", resp.ErrorCode)
	}
}

// TestNonsenseDoesNotFillTheLog sends the same nonsense over and over: each shard says it once a minute about an address.
func TestNonsenseDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	v := startVictim(t, 0)
	transactional := kmsg.NewPtrInitProducerIDRequest()
	transactional.SetVersion(4)
	transactional.TransactionalID = new("t")
	for range 200 {
		for _, frame := range [][]byte{
			rawFrame(wire.KeyMetadata, 1, []byte("\x7f\xff\xff\xff")),
			rawFrame(wire.KeyProduce, 3, []byte("\xff\xff\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xff")),
			rawFrame(999, 0, nil),
			rawFrame(wire.KeyFetch, 3, nil),
			encode(transactional, 1),
		} {
			p := v.dial()
			if err := p.send(frame); err != nil {
				t.Fatal(err)
			}
			if _, err := p.frame(); timeout(err) {
				t.Fatal("neither answered nor closed")
			}
			p.Close()
		}
	}
	for _, line := range []string{"malformed request", "request header", "transactional producer refused"} {
		// Two shards may have met it, and a minute may have passed.
		if n := v.lines.count(line); n < 1 || n > 4 {
			t.Errorf("%d lines say %q, want one or two", n, line)
		}
	}
	if n := strings.Count(v.lines.String(), "\n"); n > 40 {
		t.Errorf("the log has %d lines:\n%s", n, tail(v.lines.String(), 2000))
	}
}
