package frameworks

import "regexp"

// difference is what one of the two brokers alone makes a tool say, and is left out of the comparison. Each has to occur.
type difference struct {
	of   string // whose it is
	tool string // how the command begins
	text *regexp.Regexp
	why  string
}

var intended = []difference{
	{"Kafka", "kafka-topics --describe --topics-with-overrides", regexp.MustCompile(`^Topic: \S+ TopicId: ID .* Configs: min\.insync\.replicas=1$`),
		"with ELR Kafka 4.3 writes min.insync.replicas down as a setting of the cluster; here it is a default"},
	{"Kafka", "kafka-topics --describe", regexp.MustCompile(`,min\.insync\.replicas=1|\bmin\.insync\.replicas=1,?`), "the same"},
	{"Kafka", "kafka-configs --describe --entity-type brokers --entity-default", regexp.MustCompile(`^min\.insync\.replicas=1 .*`), "the same"},
	{"Kafka", "kafka-configs --describe", regexp.MustCompile(`DYNAMIC_DEFAULT_BROKER_CONFIG:min\.insync\.replicas=1, `), "the same"},
	{"Pinion", "kafka-configs --describe", regexp.MustCompile(`(, )?DEFAULT_CONFIG:log\.(retention\.hours=168|roll\.hours=168|roll\.jitter\.hours=0|flush\.scheduler\.interval\.ms=\d+)`),
		"the keys of hours and of the scheduler, which a topic's times come from, are among their synonyms"},
	{"Pinion", "kafka-configs --describe", regexp.MustCompile(`^pinion\.durability=.*`), "Pinion's own key"},
	{"Kafka", "kafka-metadata-quorum describe --status", regexp.MustCompile(`, "endpoints": \[[^]]*\]`),
		"the quorum of one node here has no listener of its own"},
	{"Pinion", "kafka-metadata-quorum describe --status", regexp.MustCompile(`, "endpoints": \[[^]]*\]`), "the same"},
	{"Kafka", "kafka-configs --describe --entity-type broker-loggers", regexp.MustCompile(`^(org\.apache\.kafka\.\S+|root)=[A-Z]+ .*`), "loggers have other names and levels"},
	{"Pinion", "kafka-configs --describe --entity-type broker-loggers", regexp.MustCompile(`^(pinion\.[a-z]+|root)=[A-Z]+ .*`), "the same"},
	{"Kafka", "kafka-features describe", regexp.MustCompile(`^Feature: .*`), "no feature has levels here: what a broker knows is what it advertises"},
	{"Pinion", "kafka-topics --describe", regexp.MustCompile(`,pinion\.durability=fsync`), "Pinion's own key"},
	{"Pinion", "kafka-configs --describe", regexp.MustCompile(`^errors\.deadletterqueue\.group\.enable=.*`), "a key of Kafka 4.4"},
}
