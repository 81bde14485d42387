package frameworks

import "regexp"

// difference is what one of the two brokers alone makes a tool say, and is left out of the comparison. Each has to occur.
type difference struct {
	of   string // whose it is
	tool string // how the command begins
	text *regexp.Regexp
	why  string
}

// levelRefused is what kafka-features says of a level that Pinion does not take.
var levelRefused = regexp.MustCompile(`^(Can|Could) not (up|down)grade \S+ to \d+\. .* Local controller 1 does not support this feature\.$|^(\d+) out of \d+ operation\(s\) failed\.$`)

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
	{"Kafka", "kafka-features upgrade --feature group.version=1", regexp.MustCompile(`^group\.version (can be|was) upgraded to 1\.$`), "the same"},
	{"Pinion", "kafka-features upgrade --feature group.version=1", levelRefused, "the same"},
	{"Kafka", "kafka-features upgrade --feature group.version=2", regexp.MustCompile(`Local controller 1 only supports versions 0-1$`), "the same"},
	{"Pinion", "kafka-features upgrade --feature group.version=2", regexp.MustCompile(`Local controller 1 does not support this feature\.$`), "the same"},
	{"Kafka", "kafka-features downgrade --feature group.version=1 --dry-run", regexp.MustCompile(`^group\.version can be downgraded to 1\.$`), "the same"},
	{"Pinion", "kafka-features downgrade --feature group.version=1 --dry-run", levelRefused, "the same"},
	{"Kafka", "kafka-features downgrade --feature group.version=1", regexp.MustCompile(`Can't downgrade to a newer version\.$`), "the same"},
	{"Pinion", "kafka-features downgrade --feature group.version=1", regexp.MustCompile(`Local controller 1 does not support this feature\.$`), "the same"},
	{"Kafka", "kafka-features upgrade --release-version 4.3-IV0", regexp.MustCompile(`^[a-z.]+\.version can be upgraded to \d+\.$`), "the same"},
	{"Pinion", "kafka-features upgrade --release-version 4.3-IV0", levelRefused, "the same"},
	{"Kafka", "kafka-features disable --feature metadata.version", regexp.MustCompile(`Local controller 1 only supports versions 7-30$`), "the same"},
	{"Pinion", "kafka-features disable --feature metadata.version", regexp.MustCompile(`Local controller 1 does not support this feature\.$`), "the same"},
	{"Kafka", "kafka-features downgrade --metadata", regexp.MustCompile(`Unsupported metadata\.version downgrade .*`), "the same"},
	{"Pinion", "kafka-features downgrade --metadata", regexp.MustCompile(`Invalid update version 25 for feature metadata\.version\. Local controller 1 does not support this feature\.$`), "the same"},
	{"Pinion", "kafka-topics --describe", regexp.MustCompile(`,pinion\.durability=fsync`), "Pinion's own key"},
	{"Pinion", "kafka-configs --describe", regexp.MustCompile(`^errors\.deadletterqueue\.group\.enable=.*`), "a key of Kafka 4.4"},
}
