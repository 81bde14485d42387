package families

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Kafka's error codes these tests meet.
const (
	offsetOutOfRange  = 1
	unknownTopic      = 3
	messageTooLarge   = 10
	invalidTopic      = 17
	invalidTimestamp  = 32
	topicExists       = 36
	invalidPartitions = 37
	invalidConfig     = 40
)

// The kinds of error of the package's comment.
const (
	kindBroker      = "broker"
	kindAbsent      = "absent"
	kindUnsupported = "unsupported"
	kindClient      = "client"
)

// Each client creates, finds, describes, grows, configures, trims and deletes a topic.
func TestFamiliesAdministerTopics(t *testing.T) {
	eachFamily(t, func(t *testing.T, f *family) {
		topic := "admin-" + f.name
		part := func(name string, key kmsg.Key, test func(t *testing.T)) {
			t.Run(name, func(t *testing.T) { f.part(t, topic, key, test) })
		}
		create := Command{Op: "create", Topic: topic, Partitions: 2, Configs: map[string]*string{"retention.ms": ptr("86400000")}}
		part("create", kmsg.CreateTopics, func(t *testing.T) { f.testCreate(t, create) })
		part("list", kmsg.Metadata, func(t *testing.T) {
			if list := f.do(t, Command{Op: "list"}).Topics; !slices.Contains(list, topic) {
				t.Errorf("not among %d topics", len(list))
			}
		})
		part("describe", kmsg.Metadata, func(t *testing.T) { f.wantPartitions(t, topic, 2) })
		part("grow", kmsg.CreatePartitions, func(t *testing.T) {
			f.do(t, Command{Op: "grow", Topic: topic, Partitions: 5})
			f.wantPartitions(t, topic, 5)
			f.refused(t, Command{Op: "grow", Topic: topic, Partitions: 3}, invalidPartitions)
		})
		part("get configs", kmsg.DescribeConfigs, func(t *testing.T) {
			f.wantConfig(t, topic, "retention.ms", "86400000")
			f.wantConfig(t, topic, "cleanup.policy", "delete")
		})
		part("set configs", kmsg.IncrementalAlterConfigs, func(t *testing.T) { f.testSet(t, topic) })
		part("replace configs", kmsg.AlterConfigs, func(t *testing.T) { f.testReplace(t, topic) })
		part("trim", kmsg.DeleteRecords, func(t *testing.T) { f.testTrim(t, topic) })
		part("delete", kmsg.DeleteTopics, func(t *testing.T) {
			f.do(t, Command{Op: "delete", Topic: topic})
			if slices.Contains(f.do(t, Command{Op: "list"}).Topics, topic) {
				t.Error("still there")
			}
			f.refused(t, Command{Op: "delete", Topic: topic}, unknownTopic)
		})
	})
}

// part runs one part of a test, which needs a request. Where the client has no call for it the part is skipped; where the broker does
// not know the request, the client must say so in its own words before the part is skipped.
func (f *family) part(t *testing.T, topic string, key kmsg.Key, test func(t *testing.T)) {
	probe := map[kmsg.Key]Command{
		kmsg.CreatePartitions:        {Op: "grow", Topic: topic, Partitions: 5},
		kmsg.DescribeConfigs:         {Op: "get_configs", Topic: topic},
		kmsg.IncrementalAlterConfigs: {Op: "set_configs", How: "set", Topic: topic, Configs: map[string]*string{"retention.ms": ptr("1000")}},
		kmsg.AlterConfigs:            {Op: "set_configs", How: "replace", Topic: topic, Configs: map[string]*string{"retention.ms": ptr("1000")}},
		kmsg.DeleteRecords:           {Op: "trim", Topic: topic},
	}
	c, late := probe[key]
	if !late || knows(key) && !f.absent(t, c) {
		test(t)
		tally.steps.Add(1)
		return
	}
	_, refused := f.try(t, c)
	switch {
	case refused == nil:
		t.Fatalf("%s went well, although the broker does not advertise %s", c.Op, key.Name())
	case refused.Kind == kindAbsent:
		t.Skipf("the client has no call for %s", key.Name())
	case knows(key):
		t.Fatalf("%s: %v", c.Op, refused)
	case refused.Kind != f.unaskedKind() || !strings.Contains(refused.Text, f.unaskedText):
		t.Fatalf("the broker does not advertise %s; the client said: %v", key.Name(), refused)
	default:
		t.Skipf("the broker does not advertise %s yet; the client said: %s", key.Name(), firstLine(refused.Text))
	}
}

// absent reports whether the client has no call for a command.
func (f *family) absent(t *testing.T, c Command) bool {
	if c.Op == "set_configs" {
		return f.onlySets && c.How == "replace" || f.onlyReplaces && c.How == "set"
	}
	return c.Op == "trim" && f.neverTrims
}

func (f *family) unaskedKind() string {
	if f.unaskedText != "" {
		return kindClient
	}
	return kindUnsupported
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line[:min(len(line), 160)]
}

// refused wants the broker's error code to arrive at the client's user.
func (f *family) refused(t *testing.T, c Command, code int) {
	t.Helper()
	_, refused := f.try(t, c)
	if refused == nil || refused.Kind != kindBroker || refused.Code != code {
		t.Errorf("%s %.40q: got %v, want code %d", c.Op, c.Topic, refused, code)
		return
	}
	tally.refusals.Add(1)
}

func (f *family) testCreate(t *testing.T, c Command) {
	if dry := c; !f.neverDry {
		dry.Dry = true
		f.do(t, dry)
	}
	if topics, err := kadm.NewClient(newClient(t)).ListTopics(testContext(t)); err != nil || topics.Has(c.Topic) {
		t.Fatalf("validating created the topic, or %v", err)
	}
	f.do(t, c)
	topics, err := kadm.NewClient(newClient(t)).ListTopics(testContext(t), c.Topic)
	if err != nil || len(topics[c.Topic].Partitions) != int(c.Partitions) {
		t.Fatalf("created %v, %v", topics[c.Topic], err)
	}
	f.refused(t, c, topicExists)
	bad := c
	bad.Topic = "no/such name"
	f.refused(t, bad, invalidTopic)
	bad.Topic = strings.Repeat("x", 250)
	f.refused(t, bad, invalidTopic)
	bad.Topic, bad.Partitions = c.Topic+"-none", 0
	f.refused(t, bad, invalidPartitions)
	bad.Partitions, bad.Configs = 1, map[string]*string{"retention.ms": ptr("soon")}
	f.refused(t, bad, invalidConfig)
}

func (f *family) wantPartitions(t *testing.T, topic string, n int) {
	t.Helper()
	list := f.do(t, Command{Op: "describe", Topic: topic}).Partitions
	slices.SortFunc(list, func(a, b Partition) int { return int(a.ID - b.ID) })
	leaders := leadersOf(t, topic)
	want := make([]Partition, n)
	for i := range want {
		want[i] = Partition{ID: int32(i), Leader: leaders[i%len(leaders)], Replicas: []int32{leaders[i%len(leaders)]}}
	}
	if fmt.Sprint(list) != fmt.Sprint(want) {
		t.Fatalf("described as %v, want %v", list, want)
	}
}

// leadersOf is who leads each partition: the one broker, or one of the cores, of which each leads something where there is enough.
func leadersOf(t *testing.T, topic string) []int32 {
	t.Helper()
	if !broker.Cores() {
		return []int32{1}
	}
	topics, err := kadm.NewClient(newClient(t)).ListTopics(testContext(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	var leaders []int32
	leading := map[int32]bool{}
	for _, p := range topics[topic].Partitions.Sorted() {
		if p.Leader < 1000 || p.Leader >= 1000+brokerShards {
			t.Fatalf("partition %d is led by %d, which is no core", p.Partition, p.Leader)
		}
		leaders, leading[p.Leader] = append(leaders, p.Leader), true
	}
	if len(leading) != min(len(leaders), brokerShards) {
		t.Fatalf("%d partitions are led by %v", len(leaders), leading)
	}
	return leaders
}

func (f *family) wantConfig(t *testing.T, topic, key, want string) {
	t.Helper()
	got := f.do(t, Command{Op: "get_configs", Topic: topic}).Configs[key]
	if got == nil || *got != want {
		t.Fatalf("%s is %v, want %s", key, got, want)
	}
}

func (f *family) testSet(t *testing.T, topic string) {
	set := func(key string, value *string) Command {
		return Command{Op: "set_configs", How: "set", Topic: topic, Configs: map[string]*string{key: value}}
	}
	f.do(t, set("max.message.bytes", ptr("2000")))
	f.wantConfig(t, topic, "max.message.bytes", "2000")
	f.wantConfig(t, topic, "retention.ms", "86400000")
	f.do(t, set("max.message.bytes", nil))
	f.wantConfig(t, topic, "max.message.bytes", "1048588")
	f.refused(t, set("retention.ms", ptr("soon")), invalidConfig)
}

func (f *family) testReplace(t *testing.T, topic string) {
	c := Command{Op: "set_configs", How: "replace", Topic: topic, Configs: map[string]*string{"segment.bytes": ptr("2097152")}}
	f.do(t, c)
	f.wantConfig(t, topic, "segment.bytes", "2097152")
	f.wantConfig(t, topic, "retention.ms", "604800000") // what is not named is a default again
}

func (f *family) testTrim(t *testing.T, topic string) {
	if err := sendByFranzGo(testContext(t), franzSender(t), topic, 0, 30); err != nil {
		t.Fatal(err)
	}
	if got := f.do(t, Command{Op: "trim", Topic: topic, Partition: 1, At: 4}).Earliest; got != 4 {
		t.Fatalf("begins at %d after the records below 4 were deleted", got)
	}
	by := f
	if !f.reads {
		list := readers(f)
		if len(list) == 0 {
			return
		}
		by = list[0]
	}
	c := Command{Op: "consume", Topic: topic, Partition: 1, Start: "earliest", Count: 6}
	by.check(t, sender, by.consume(t, c), 1, 4)
	f.refused(t, Command{Op: "trim", Topic: topic, Partition: 1, At: 1000}, offsetOutOfRange)
}

// What the broker refuses to store arrives at the user as what it is.
func TestFamiliesUnderstandRefusals(t *testing.T) {
	const topic = "refusals"
	createTopic(t, topic, partitions, map[string]*string{"max.message.bytes": ptr("2000"), "message.timestamp.after.max.ms": ptr("60000")})
	eachFamily(t, func(t *testing.T, f *family) {
		send := func(r Record, code int) {
			t.Helper()
			c := Command{Op: "produce", Topic: topic, Codec: "none", Acks: "all", File: file()}
			if err := WriteRecords(c.File, []Record{r}); err != nil {
				t.Fatal(err)
			}
			f.refused(t, c, code)
		}
		send(Record{Timestamp: epoch, Value: make([]byte, 3000)}, messageTooLarge)
		send(Record{Timestamp: epoch + 1<<40, Value: []byte("tomorrow")}, invalidTimestamp)
		if !f.describeCreates {
			f.refused(t, Command{Op: "describe", Topic: "no-topic-" + f.name}, unknownTopic)
		}
	})
}

// A topic that does not exist is there once a client has sent something to it.
func TestFamiliesCreateTopicsBySending(t *testing.T) {
	eachFamily(t, func(t *testing.T, f *family) {
		topic := "auto-" + f.name
		c := Command{Op: "produce", Topic: topic, Codec: "none", Acks: "all", File: file()}
		if err := WriteRecords(c.File, []Record{f.record(3)}); err != nil {
			t.Fatal(err)
		}
		if offsets := f.do(t, c).Offsets; len(offsets) != 1 || offsets[0] != 0 {
			t.Fatalf("acknowledged at %v", offsets)
		}
		f.wantPartitions(t, topic, 1)
		tally.steps.Add(1)
	})
}
