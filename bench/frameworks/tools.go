package frameworks

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// classes are the main classes of Kafka's start scripts, and the option by which each takes the broker's address.
var classes = map[string]struct{ class, address string }{
	"kafka-topics":              {"org.apache.kafka.tools.TopicCommand", "--bootstrap-server"},
	"kafka-configs":             {"kafka.admin.ConfigCommand", "--bootstrap-server"},
	"kafka-consumer-groups":     {"org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server"},
	"kafka-groups":              {"org.apache.kafka.tools.GroupsCommand", "--bootstrap-server"},
	"kafka-get-offsets":         {"org.apache.kafka.tools.GetOffsetShell", "--bootstrap-server"},
	"kafka-delete-records":      {"org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server"},
	"kafka-reassign-partitions": {"org.apache.kafka.tools.reassign.ReassignPartitionsCommand", "--bootstrap-server"},
	"kafka-leader-election":     {"org.apache.kafka.tools.LeaderElectionCommand", "--bootstrap-server"},
	"kafka-log-dirs":            {"org.apache.kafka.tools.LogDirsCommand", "--bootstrap-server"},
	"kafka-broker-api-versions": {"org.apache.kafka.tools.BrokerApiVersionsCommand", "--bootstrap-server"},
	"kafka-metadata-quorum":     {"org.apache.kafka.tools.MetadataQuorumCommand", "--bootstrap-server"},
	"kafka-features":            {"org.apache.kafka.tools.FeatureCommand", "--bootstrap-server"},
	"kafka-cluster":             {"org.apache.kafka.tools.ClusterTool", ""},
	"kafka-client-metrics":      {"org.apache.kafka.tools.ClientMetricsCommand", "--bootstrap-server"},
	"kafka-verifiable-producer": {"org.apache.kafka.tools.VerifiableProducer", "--bootstrap-server"},
	"kafka-verifiable-consumer": {"org.apache.kafka.tools.VerifiableConsumer", "--bootstrap-server"},
	"kafka-console-producer":    {"org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server"},
	"kafka-console-consumer":    {"org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server"},
	"kafka-producer-perf-test":  {"org.apache.kafka.tools.ProducerPerformance", "--bootstrap-server"},
	"kafka-consumer-perf-test":  {"org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server"},
	"kafka-e2e-latency":         {"org.apache.kafka.tools.EndToEndLatency", ""},
}

// step is one command of a script that both brokers get.
type step struct {
	says    string            // the tool and its arguments, as typed; {addr}, {files} and {end of topic} stand for what differs
	input   string            // what the tool reads
	needs   []kmsg.Key        // requests it sends that a broker may not have; the step is left out where one is not advertised
	with    map[string]string // files by name, in the folder {files}; {dir} in them is the broker's directory
	numbers bool              // any number may differ: rates, latencies, sizes
	settles bool              // asks only; a broker whose metadata follows its controller may say it a little later
	fails   bool              // the tool has to end with an error, on both
	here    bool              // it has to end with an error on Pinion alone
	alone   bool              // it ends with System.exit and waits for that: it gets a virtual machine of its own
	byKey   bool              // lines that name a request by its key are compared where Pinion advertises it
}

// args are the arguments of a step at a broker. Words within ” are one argument.
func (s step) args(addr, files string) (class string, args []string, err error) {
	words := quoted.FindAllString(s.says, -1)
	tool, found := classes[words[0]]
	if !found {
		return "", nil, fmt.Errorf("no class of %s is known", words[0])
	}
	if tool.address != "" {
		args = append(args, tool.address, addr)
	}
	for _, w := range words[1:] {
		w = strings.Trim(w, "'")
		args = append(args, strings.NewReplacer("{addr}", addr, "{files}", files).Replace(w))
	}
	return tool.class, args, nil
}

var quoted = regexp.MustCompile(`'[^']*'|[^ ']+`)

// what differs from broker to broker and run to run, and what it becomes.
var alike = []struct {
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`\b(perf-consumer|console-consumer|test-group)-\d+\b`), "$1"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`(TopicId: |Cluster ID: |ClusterId: +|DirectoryId: +)[A-Za-z0-9_-]+`), "${1}ID"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d([.:,]\d+)?`), "TIME"},
	{regexp.MustCompile(`(?m)^(Cluster ID: )?[A-Za-z0-9_-]{22}$`), "ID"},
	{regexp.MustCompile(`"directoryId": "[^"]+"`), `"directoryId": "ID"`},
	{regexp.MustCompile(`^(\d+\s+)[A-Za-z0-9_-]{22}(\s)`), "${1}ID${2}"},
	{regexp.MustCompile(`"timestamp":\d+`), `"timestamp":TIME`},
	{regexp.MustCompile(`CreateTime:\d+`), "CreateTime:TIME"},
}

var (
	keyed  = regexp.MustCompile(`^\w+\((\d+)\): `)
	number = regexp.MustCompile(`\d+([.,]\d+)*`)
	spaces = regexp.MustCompile(`[ \t-]{2,}|[ \t]+`)
)

// lines are the lines of what a tool said that can be compared: without what has to differ, without the widths of columns, in their order
// by the alphabet, as that of most tables is that of a hash map. keys are what Pinion advertises; met counts what was intended.
func (s step) lines(text string, of side, keys []kmsg.Key, met []int) []string {
	host, port, _ := strings.Cut(of.addr, ":")
	text = strings.NewReplacer(of.addr, "ADDR", host+" "+port, "ADDR", of.dir, "DIR").Replace(text)
	var list []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "\tat ") || strings.HasPrefix(line, "\t... ") {
			continue // of a stack trace, which tells of the client
		}
		line = strings.TrimSpace(line)
		for _, a := range alike { // before dashes of tables go: an id may have some
			line = a.what.ReplaceAllString(line, a.with)
		}
		line = strings.TrimRight(strings.TrimSpace(spaces.ReplaceAllString(line, " ")), ",")
		if m := keyed.FindStringSubmatch(line); m != nil && s.byKey {
			if n, err := strconv.Atoi(m[1]); err == nil && !slices.Contains(keys, kmsg.Key(n)) {
				continue
			}
		}
		for i, d := range intended {
			if d.of == of.name && strings.HasPrefix(s.says, d.tool) && d.text.MatchString(line) {
				met[i]++
				line = d.text.ReplaceAllString(line, "")
			}
		}
		if before, names, found := strings.Cut(line, "successfully: "); found { // in the order of a hash map
			all := strings.Split(names, ", ")
			slices.Sort(all)
			line = before + strings.Join(all, ", ")
		}
		if s.numbers {
			line = number.ReplaceAllString(line, "N")
		}
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	slices.Sort(list)
	return list
}

// side is one of the two brokers.
type side struct {
	name, addr, dir string
	keys            []kmsg.Key // it advertises
}

// differing are the lines that only one of two lists has, marked with whose they are.
func differing(kafka, pinion []string) []string {
	count := map[string]int{}
	for _, l := range kafka {
		count[l]++
	}
	var list []string
	for _, l := range pinion {
		if count[l]--; count[l] < 0 {
			list = append(list, "Pinion: "+l)
		}
	}
	for _, l := range kafka {
		if count[l] > 0 {
			count[l]--
			list = append(list, "Kafka:  "+l)
		}
	}
	slices.Sort(list)
	return list
}
