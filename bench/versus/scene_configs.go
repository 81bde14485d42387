package versus

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Resource types of configurations (org.apache.kafka.common.config.ConfigResource).
const (
	ofTopic   kmsg.ConfigResourceType = 2
	ofBroker  kmsg.ConfigResourceType = 4
	ofLoggers kmsg.ConfigResourceType = 8
	ofMetrics kmsg.ConfigResourceType = 16
	ofGroup   kmsg.ConfigResourceType = 32
)

// oddResources are types that are not of a topic or a broker: unknown, any, group, cluster, loggers, client metrics, groups, and one too many.
var oddResources = []kmsg.ConfigResourceType{0, 1, 3, 5, 8, 16, 32, 99, -1}

func described(kind kmsg.ConfigResourceType, name string, keys ...string) kmsg.DescribeConfigsRequestResource {
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, keys
	return r
}

func (s *script) describe(version int16, step string, resources ...kmsg.DescribeConfigsRequestResource) {
	for _, more := range []bool{false, true} {
		if more {
			step += ", with synonyms and documentation"
		}
		s.ask(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrDescribeConfigsRequest()
			req.Resources, req.IncludeSynonyms, req.IncludeDocumentation = resources, more, more
			return versioned(req, version)
		})
	}
}

func sceneDescribeConfigs(s *script, v int16) {
	name := fmt.Sprintf("configs-%d", v)
	s.topic(name, 1, "retention.ms", "123456", "cleanup.policy", "compact,delete", "compression.type", "zstd")
	s.describe(v, "a topic", described(ofTopic, name))
	s.describe(v, "some keys of a topic", described(ofTopic, name, "retention.ms", "segment.bytes", "no.such.key", "retention.ms"))
	s.describe(v, "an empty key", described(ofTopic, name, ""))
	empty := described(ofTopic, name)
	empty.ConfigNames = []string{}
	s.describe(v, "no keys", empty)
	s.describe(v, "topics that are not there", described(ofTopic, name+"-missing"), described(ofTopic, "not/legal"), described(ofTopic, ""))
	s.describe(v, "a topic twice", described(ofTopic, name, "retention.ms"), described(ofTopic, name, "segment.bytes"))
	s.describe(v, "the broker", described(ofBroker, "1"))
	s.describe(v, "some keys of the broker", described(ofBroker, "1", "log.retention.ms", "log.retention.hours", "node.id", "no.such.key", "num.partitions", "min.insync.replicas"))
	s.describe(v, "all brokers", described(ofBroker, ""))
	s.describe(v, "brokers that are not there", described(ofBroker, "2"), described(ofBroker, "abc"), described(ofBroker, "-1"))
	for _, kind := range oddResources {
		s.describe(v, fmt.Sprintf("resource type %d", kind), described(kind, "1"))
	}
	s.describe(v, "none")
}

// alter is one change: key, operation and value; * stands for a null value.
type alter struct {
	key   string
	op    kmsg.IncrementalAlterConfigOp
	value string
}

const null = "*null*"

func valueOf(s string) *string {
	if s == null {
		return nil
	}
	return &s
}

func altered(kind kmsg.ConfigResourceType, name string, changes ...alter) kmsg.IncrementalAlterConfigsRequestResource {
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for _, change := range changes {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = change.key, change.op, valueOf(change.value)
		r.Configs = append(r.Configs, c)
	}
	return r
}

const (
	set      = kmsg.IncrementalAlterConfigOpSet
	remove   = kmsg.IncrementalAlterConfigOpDelete
	attach   = kmsg.IncrementalAlterConfigOpAppend
	subtract = kmsg.IncrementalAlterConfigOpSubtract
)

func sceneIncrementalAlterConfigs(s *script, v int16) {
	name := fmt.Sprintf("alter-%d", v)
	s.topic(name, 1, "retention.ms", "123456")
	send := func(step string, validateOnly bool, resources ...kmsg.IncrementalAlterConfigsRequestResource) {
		s.do(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrIncrementalAlterConfigsRequest()
			req.ValidateOnly, req.Resources = validateOnly, resources
			return versioned(req, v)
		})
	}
	topic := func(step string, changes ...alter) { send(step, false, altered(ofTopic, name, changes...)) }
	topic("set", alter{"retention.bytes", set, "5000"}, alter{"segment.ms", set, "777777"})
	topic("append to a list", alter{"cleanup.policy", attach, "compact"})
	topic("append what is there", alter{"cleanup.policy", attach, "compact"})
	s.describe(4, "after it was appended", described(ofTopic, name))
	topic("subtract", alter{"cleanup.policy", subtract, "delete"})
	topic("subtract what is not there", alter{"cleanup.policy", subtract, "delete"})
	topic("subtract all", alter{"cleanup.policy", subtract, "compact"})
	s.describe(4, "after all was subtracted", described(ofTopic, name))
	topic("append two", alter{"cleanup.policy", attach, "compact,delete"})
	topic("append nonsense", alter{"cleanup.policy", attach, "shred"})
	topic("append to a number", alter{"retention.ms", attach, "1"})
	topic("append to an unknown key", alter{"no.such.key", attach, "1"})
	topic("subtract from a string", alter{"compression.type", subtract, "zstd"})
	topic("delete", alter{"segment.ms", remove, null})
	topic("delete with a value", alter{"retention.bytes", remove, "9"})
	topic("delete what was not set", alter{"flush.ms", remove, null})
	topic("delete an unknown key", alter{"no.such.key", remove, null})
	topic("set an unknown key", alter{"no.such.key", set, "1"})
	topic("set an empty key", alter{"", set, "1"})
	topic("set null", alter{"retention.ms", set, null})
	topic("append null", alter{"cleanup.policy", attach, null})
	topic("set nonsense", alter{"retention.ms", set, "soon"})
	topic("set nonsense beside sense", alter{"retention.ms", set, "1000"}, alter{"segment.bytes", set, "1"})
	topic("set with spaces", alter{"retention.ms", set, " 5000 "})
	topic("set empty", alter{"compression.type", set, ""})
	topic("a key twice", alter{"retention.ms", set, "1000"}, alter{"retention.ms", set, "2000"})
	topic("operation 4", alter{"retention.ms", 4, "1000"})
	topic("operation -1", alter{"retention.ms", -1, "1000"})
	topic("nothing")
	topic("too long", alter{"leader.replication.throttled.replicas", set, "0:1" + strings.Repeat(",0:1", 10_000)})
	topic("lags that cross", alter{"min.compaction.lag.ms", set, "1000"}, alter{"max.compaction.lag.ms", set, "10"})
	send("a topic twice", false, altered(ofTopic, name, alter{"retention.ms", set, "1"}), altered(ofTopic, name, alter{"retention.ms", set, "2"}))
	send("topics that are not there", false, altered(ofTopic, name+"-missing", alter{"retention.ms", set, "1"}),
		altered(ofTopic, "not/legal", alter{"retention.ms", set, "1"}), altered(ofTopic, "", alter{"retention.ms", set, "1"}))
	send("a good one beside", false, altered(ofTopic, name+"-missing", alter{"retention.ms", set, "1"}), altered(ofTopic, name, alter{"retention.ms", set, "654321"}))
	send("validate", true, altered(ofTopic, name, alter{"retention.ms", set, "1111"}))
	send("validate nonsense", true, altered(ofTopic, name, alter{"retention.ms", set, "soon"}))
	send("none", false)
	s.describe(4, "what came of it", described(ofTopic, name))
	alterBrokers(s, send)
	alterOthers(s, v, send)
	for _, kind := range oddResources {
		send(fmt.Sprintf("resource type %d", kind), false, altered(kind, "1", alter{"retention.ms", set, "1"}))
	}
}

// alterOthers changes the configurations of a group and of a subscription to client metrics, neither of which exists, and asks for loggers
// that are not there: the names of those that are differ.
func alterOthers(s *script, v int16, send func(step string, validateOnly bool, resources ...kmsg.IncrementalAlterConfigsRequestResource)) {
	name := fmt.Sprintf("others-%d", v)
	group := func(step string, changes ...alter) {
		send("group: "+step, false, altered(ofGroup, name, changes...))
	}
	group("set", alter{"consumer.session.timeout.ms", set, "50000"}, alter{"share.auto.offset.reset", set, "by_duration:PT1H"})
	s.describe(4, "group: what is set", described(ofGroup, name))
	group("less than the broker allows", alter{"consumer.session.timeout.ms", set, "1000"})
	group("more than the broker allows", alter{"consumer.heartbeat.interval.ms", set, "16000"})
	group("more than a session", alter{"streams.session.timeout.ms", set, "45000"}, alter{"streams.heartbeat.interval.ms", set, "15001"})
	group("an interval the broker does not allow", alter{"share.assignment.interval.ms", set, "15001"})
	group("too many replicas", alter{"streams.num.standby.replicas", set, "3"})
	group("too many deliveries", alter{"share.delivery.count.limit", set, "11"})
	group("nonsense", alter{"share.isolation.level", set, "none"})
	group("no place to begin", alter{"share.auto.offset.reset", set, "by_duration:1h"})
	group("no number", alter{"consumer.session.timeout.ms", set, "soon"})
	group("an unknown key", alter{"retention.ms", set, "1"})
	group("append", alter{"share.isolation.level", attach, "read_committed"})
	group("null", alter{"share.isolation.level", set, null})
	group("an empty value", alter{"share.isolation.level", set, ""})
	group("delete", alter{"consumer.session.timeout.ms", remove, null}, alter{"no.such.key", remove, null})
	s.describe(4, "group: what is left", described(ofGroup, name), described(ofGroup, ""), described(ofGroup, "nobody", "share.isolation.level"))
	send("group: without a name", false, altered(ofGroup, "", alter{"share.isolation.level", set, "read_committed"}))
	send("group: validate", true, altered(ofGroup, name+"-valid", alter{"share.isolation.level", set, "read_committed"}))
	metrics := func(step string, changes ...alter) {
		send("metrics: "+step, false, altered(ofMetrics, name, changes...))
	}
	metrics("set", alter{"interval.ms", set, "60000"}, alter{"metrics", set, "org.apache.kafka.producer."}, alter{"match", set, "client_id=a.*"})
	metrics("append", alter{"metrics", attach, "org.apache.kafka.consumer."})
	s.describe(4, "metrics: what is set", described(ofMetrics, name))
	metrics("too often", alter{"interval.ms", set, "99"})
	metrics("too seldom", alter{"interval.ms", set, "3600001"})
	metrics("no number", alter{"interval.ms", set, "soon"})
	metrics("no pattern", alter{"match", set, "client_id"})
	metrics("no expression", alter{"match", set, "client_id=("})
	metrics("nothing to match", alter{"match", set, "host=a"})
	metrics("twice the same", alter{"metrics", set, "a,a"})
	metrics("an empty item", alter{"metrics", set, "a,,b"})
	metrics("nothing at all", alter{"metrics", set, ""})
	metrics("an unknown key", alter{"retention.ms", set, "1"})
	metrics("delete", alter{"match", remove, null})
	s.describe(4, "metrics: what is left", described(ofMetrics, name), described(ofMetrics, ""), described(ofMetrics, "nobody"))
	send("metrics: without a name", false, altered(ofMetrics, "", alter{"interval.ms", set, "1000"}))
	for _, broker := range []string{"1", "2", "abc", "", "-1"} {
		send(fmt.Sprintf("loggers: unknown, broker %q", broker), false, altered(ofLoggers, broker, alter{"no.such.logger", set, "INFO"}))
		s.describe(4, fmt.Sprintf("loggers: broker %q", broker), described(ofLoggers, broker, "no.such.logger"))
	}
	send("loggers: append", false, altered(ofLoggers, "1", alter{"no.such.logger", attach, "INFO"}))
	send("loggers: operation 7", false, altered(ofLoggers, "1", alter{"no.such.logger", 7, "INFO"}))
	send("loggers: null", false, altered(ofLoggers, "1", alter{"no.such.logger", set, null}))
	send("loggers: delete", true, altered(ofLoggers, "1", alter{"no.such.logger", remove, null}))
}

// alterBrokers changes what this broker, and what every broker is configured to, and takes it back.
func alterBrokers(s *script, send func(step string, validateOnly bool, resources ...kmsg.IncrementalAlterConfigsRequestResource)) {
	for _, broker := range []string{"1", ""} {
		do := func(step string, changes ...alter) {
			send(fmt.Sprintf("%s, broker %q", step, broker), false, altered(ofBroker, broker, changes...))
		}
		do("set", alter{"log.retention.ms", set, "99999999"})
		s.describe(4, fmt.Sprintf("log.retention.ms is set, broker %q", broker), described(ofBroker, "1", "log.retention.ms", "log.retention.hours", "log.retention.minutes"),
			described(ofBroker, "", "log.retention.ms"), described(ofTopic, "alter-0", "retention.ms", "segment.ms"), described(ofTopic, "fetch-4", "retention.ms"))
		do("append", alter{"log.cleanup.policy", attach, "compact"})
		s.describe(4, fmt.Sprintf("log.cleanup.policy is set, broker %q", broker), described(ofBroker, "1", "log.cleanup.policy"), described(ofTopic, "fetch-4", "cleanup.policy"))
		do("delete", alter{"log.retention.ms", remove, null}, alter{"log.cleanup.policy", remove, null})
		do("set what cannot be", alter{"node.id", set, "2"})
		do("set the unknown", alter{"no.such.key", set, "2"})
		do("delete the unknown", alter{"no.such.key", remove, null})
		do("set nonsense", alter{"log.retention.ms", set, "soon"})
		do("set null", alter{"log.retention.ms", set, null})
		s.describe(4, fmt.Sprintf("nothing is left, broker %q", broker), described(ofBroker, "1", "log.retention.ms", "log.cleanup.policy", "node.id"), described(ofBroker, "", "log.retention.ms"))
	}
	send("brokers that are not there", false, altered(ofBroker, "2", alter{"log.retention.ms", set, "1"}), altered(ofBroker, "abc", alter{"log.retention.ms", set, "1"}),
		altered(ofBroker, "-1", alter{"log.retention.ms", set, "1"}))
	send("validate, broker", true, altered(ofBroker, "1", alter{"log.retention.ms", set, "1111111"}))
}

func sceneAlterConfigs(s *script, v int16) {
	name := fmt.Sprintf("replace-%d", v)
	s.topic(name, 1, "retention.ms", "123456", "segment.ms", "777777")
	of := func(kind kmsg.ConfigResourceType, resource string, pairs ...string) kmsg.AlterConfigsRequestResource {
		r := kmsg.NewAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, resource
		for i := 0; i+1 < len(pairs); i += 2 {
			c := kmsg.NewAlterConfigsRequestResourceConfig()
			c.Name, c.Value = pairs[i], valueOf(pairs[i+1])
			r.Configs = append(r.Configs, c)
		}
		return r
	}
	send := func(step string, validateOnly bool, resources ...kmsg.AlterConfigsRequestResource) {
		s.do(step, func(*party) kmsg.Request {
			req := kmsg.NewPtrAlterConfigsRequest()
			req.ValidateOnly, req.Resources = validateOnly, resources
			return versioned(req, v)
		})
	}
	topic := func(step string, pairs ...string) { send(step, false, of(ofTopic, name, pairs...)) }
	topic("replace", "retention.bytes", "5000", "cleanup.policy", "compact")
	s.describe(4, "what it is now", described(ofTopic, name))
	topic("nonsense", "retention.ms", "soon")
	topic("an unknown key", "no.such.key", "1")
	topic("an empty key", "", "1")
	topic("null", "retention.ms", null)
	topic("a key twice", "retention.ms", "1000", "retention.ms", "2000")
	if v == 2 {
		s.doBriefly("a topic twice", func(*party) kmsg.Request {
			req := kmsg.NewPtrAlterConfigsRequest()
			req.Resources = append(req.Resources, of(ofTopic, name, "retention.ms", "1"), of(ofTopic, name, "retention.ms", "2"))
			return versioned(req, v)
		})
	}
	send("topics that are not there", false, of(ofTopic, name+"-missing", "retention.ms", "1"), of(ofTopic, "not/legal", "retention.ms", "1"), of(ofTopic, "", "retention.ms", "1"))
	send("validate", true, of(ofTopic, name, "retention.ms", "1111"))
	send("validate nonsense", true, of(ofTopic, name, "retention.ms", "soon"))
	send("none", false)
	s.describe(4, "what it is still", described(ofTopic, name))
	topic("nothing")
	s.describe(4, "nothing is left", described(ofTopic, name))
	for _, broker := range []string{"1", ""} {
		send(fmt.Sprintf("broker %q", broker), false, of(ofBroker, broker, "log.retention.ms", "99999999"))
		s.describe(4, fmt.Sprintf("broker %q is set", broker), described(ofBroker, "1", "log.retention.ms"), described(ofBroker, "", "log.retention.ms"))
		send(fmt.Sprintf("what cannot be, broker %q", broker), false, of(ofBroker, broker, "node.id", "2"))
		send(fmt.Sprintf("the unknown, broker %q", broker), false, of(ofBroker, broker, "no.such.key", "2"))
		send(fmt.Sprintf("nothing, broker %q", broker), false, of(ofBroker, broker))
		s.describe(4, fmt.Sprintf("broker %q has nothing left", broker), described(ofBroker, "1", "log.retention.ms", "min.insync.replicas", "no.such.key"), described(ofBroker, ""))
	}
	send("brokers that are not there", false, of(ofBroker, "2", "log.retention.ms", "1"), of(ofBroker, "abc", "log.retention.ms", "1"))
	for _, kind := range oddResources {
		send(fmt.Sprintf("resource type %d", kind), false, of(kind, "1", "retention.ms", "1"))
	}
	group := fmt.Sprintf("replaced-%d", v)
	send("a group", false, of(ofGroup, group, "share.isolation.level", "read_committed", "share.delivery.count.limit", "4"))
	send("a group again", false, of(ofGroup, group, "share.delivery.count.limit", "3"))
	send("a group, nonsense", false, of(ofGroup, group, "share.delivery.count.limit", "many"))
	send("client metrics", false, of(ofMetrics, group, "interval.ms", "1000"))
	send("client metrics, nonsense", false, of(ofMetrics, group, "interval.ms", "1"))
	s.describe(4, "a group that was replaced", described(ofGroup, group), described(ofMetrics, group))
}
