package frameworks

import "github.com/twmb/franz-go/pkg/kmsg"

// Topics of the script. What they hold is written by franz-go before it begins, the same on both brokers: see prepare.
//
//	orders  3 partitions, 30 records, one a minute, the first at orderTime
//	trim    1 partition, 10 records
//	small   1 partition, 20 records
//	gone    1 partition, deleted before offsetSteps
//
// The group live has two members when memberSteps look at it, resting and lost have offsets of orders and of gone and no members.

const (
	lookedAt  = true
	refused   = true
	anyNumber = true
)

// topicSteps create, list, describe, alter and delete topics.
var topicSteps = []step{
	{says: "kafka-topics --create --topic made --partitions 3 --replication-factor 1 --config retention.ms=60000 --config cleanup.policy=compact"},
	{says: "kafka-topics --create --topic made --partitions 3", fails: refused},
	{says: "kafka-topics --create --topic made --if-not-exists"},
	{says: "kafka-topics --create --topic by.default"},
	{says: "kafka-topics --create --topic assigned --replica-assignment 1,1"},
	{says: "kafka-topics --create --topic bad/name", fails: refused},
	{says: "kafka-topics --create --topic toowide --replication-factor 3", fails: refused},
	{says: "kafka-topics --create --topic badconfig --config retention.ms=soon", fails: refused},
	{says: "kafka-topics --create --topic nopartitions --partitions 0", fails: refused},
	{says: "kafka-topics --list", settles: lookedAt},
	{says: "kafka-topics --list --exclude-internal", settles: lookedAt},
	{says: "kafka-topics --list --topic 'm.*'", settles: lookedAt},
	{says: "kafka-topics --describe --topic made", settles: lookedAt},
	{says: "kafka-topics --describe", settles: lookedAt},
	{says: "kafka-topics --describe --topics-with-overrides", settles: lookedAt},
	{says: "kafka-topics --describe --under-replicated-partitions", settles: lookedAt},
	{says: "kafka-topics --describe --unavailable-partitions", settles: lookedAt},
	{says: "kafka-topics --describe --under-min-isr-partitions", settles: lookedAt},
	{says: "kafka-topics --describe --at-min-isr-partitions", settles: lookedAt},
	{says: "kafka-topics --describe --topic nowhere", fails: refused},
	{says: "kafka-topics --describe --topic nowhere --if-exists"},
	{says: "kafka-topics --alter --topic made --partitions 5"},
	{says: "kafka-topics --alter --topic made --partitions 2", fails: refused},
	{says: "kafka-topics --alter --topic nowhere --partitions 2", fails: refused},
	{says: "kafka-topics --describe --topic made --partition-size-limit-per-response 2", settles: lookedAt},
	{says: "kafka-topics --delete --topic by.default"},
	{says: "kafka-topics --delete --topic by.default", fails: refused},
	{says: "kafka-topics --delete --topic 'assi.*'"},
	{says: "kafka-topics --list", settles: lookedAt},
}

// configSteps read and change configurations. Brokers that know quotas know loggers, groups and client metrics as resources; no version tells
// of those.
var configSteps = []step{
	{says: "kafka-configs --describe --entity-type topics --entity-name made", settles: lookedAt},
	{says: "kafka-configs --describe --entity-type topics", settles: lookedAt},
	{says: "kafka-configs --describe --topic made --all", settles: lookedAt},
	{says: "kafka-configs --alter --topic made --add-config max.message.bytes=1000,segment.ms=600000"},
	{says: "kafka-configs --alter --topic made --add-config cleanup.policy=[compact,delete]"},
	{says: "kafka-configs --alter --topic made --delete-config segment.ms"},
	{says: "kafka-configs --alter --topic made --add-config-file {files}/more.properties", with: map[string]string{"more.properties": "retention.bytes=4096\nmin.insync.replicas=1\n"}},
	{says: "kafka-configs --describe --topic made", settles: lookedAt},
	{says: "kafka-configs --alter --topic made --add-config no.such.key=1", fails: refused},
	{says: "kafka-configs --alter --topic made --delete-config retention.hours"},
	{says: "kafka-configs --alter --topic made --add-config segment.bytes=-5", fails: refused},
	{says: "kafka-configs --alter --topic nowhere --add-config segment.ms=600000", fails: refused},
	{says: "kafka-configs --describe --topic nowhere"},
	{says: "kafka-configs --describe --entity-type brokers --entity-name 1", settles: lookedAt},
	{says: "kafka-configs --describe --entity-type brokers --entity-default", settles: lookedAt},
	{says: "kafka-configs --alter --entity-type brokers --entity-default --add-config log.retention.ms=7200000"},
	{says: "kafka-configs --alter --broker 1 --add-config message.max.bytes=2000000"},
	{says: "kafka-configs --describe --broker 1", settles: lookedAt},
	{says: "kafka-configs --describe --entity-type brokers --entity-default", settles: lookedAt},
	{says: "kafka-configs --alter --broker 1 --add-config node.id=7", fails: refused},
	{says: "kafka-configs --alter --broker 1 --delete-config message.max.bytes"},
	{says: "kafka-configs --alter --entity-type brokers --entity-default --delete-config log.retention.ms"},
	{says: "kafka-configs --describe --entity-type broker-loggers --entity-name 1", settles: lookedAt, needs: []kmsg.Key{kmsg.DescribeClientQuotas}},
	{says: "kafka-configs --alter --entity-type groups --entity-name readers --add-config consumer.session.timeout.ms=50000", needs: []kmsg.Key{kmsg.DescribeClientQuotas}},
	{says: "kafka-configs --describe --entity-type groups --entity-name readers", settles: lookedAt, needs: []kmsg.Key{kmsg.DescribeClientQuotas}},
	{says: "kafka-configs --describe --entity-type groups", settles: lookedAt, needs: []kmsg.Key{kmsg.DescribeClientQuotas}},
	{says: "kafka-configs --alter --entity-type users --entity-name alice --add-config producer_byte_rate=100000,consumer_byte_rate=200000", needs: []kmsg.Key{kmsg.AlterClientQuotas, kmsg.DescribeClientQuotas}},
	{says: "kafka-configs --alter --entity-type clients --entity-default --add-config request_percentage=150", needs: []kmsg.Key{kmsg.AlterClientQuotas, kmsg.DescribeClientQuotas}},
	{says: "kafka-configs --describe --entity-type clients --entity-default", settles: lookedAt, needs: []kmsg.Key{kmsg.DescribeClientQuotas}},
	{says: "kafka-configs --describe --entity-type users", settles: lookedAt, needs: []kmsg.Key{kmsg.DescribeClientQuotas, kmsg.DescribeUserSCRAMCredentials}},
	{says: "kafka-configs --alter --entity-type clients --entity-default --delete-config request_percentage", needs: []kmsg.Key{kmsg.AlterClientQuotas, kmsg.DescribeClientQuotas}},
	{says: "kafka-configs --describe --entity-type ips", settles: lookedAt, needs: []kmsg.Key{kmsg.DescribeClientQuotas}},
	{says: "kafka-client-metrics --list", settles: lookedAt, needs: []kmsg.Key{kmsg.ListClientMetricsResources}},
}

// recordSteps write, read, count and delete records.
var recordSteps = []step{
	{says: "kafka-console-producer --topic typed", input: "one\ntwo\nthree\n"},
	{says: "kafka-console-producer --topic typed --reader-property parse.key=true --reader-property key.separator=:", input: "a:4\nb:5\n"},
	{says: "kafka-console-producer --topic typed --compression-codec zstd --sync --request-required-acks all", input: "six\n"},
	{says: "kafka-console-consumer --topic typed --from-beginning --max-messages 6 --formatter-property print.key=true --formatter-property print.offset=true --formatter-property print.partition=true --formatter-property print.timestamp=true"},
	{says: "kafka-console-consumer --topic typed --partition 0 --offset 4 --max-messages 2"},
	{says: "kafka-console-consumer --topic small --group half --from-beginning --max-messages 5"},
	{says: "kafka-console-consumer --topic small --group half --max-messages 5 --formatter-property print.offset=true"},
	{says: "kafka-console-consumer --include 'smal.|typed' --from-beginning --max-messages 26"},
	{says: "kafka-console-consumer --topic small --group half --max-messages 100 --timeout-ms 2000"},
	{says: "kafka-verifiable-producer --topic verified --max-messages 50 --acks -1 --value-prefix 3", alone: true, numbers: anyNumber},
	{says: "kafka-verifiable-consumer --topic verified --group-id verifiers --max-messages 50", alone: true, numbers: anyNumber},
	{says: "kafka-producer-perf-test --topic perf --num-records 5000 --record-size 100 --throughput -1", numbers: anyNumber},
	{says: "kafka-consumer-perf-test --topic perf --num-records 5000", numbers: anyNumber},
	{says: "kafka-e2e-latency {addr} small 20 all 100", numbers: anyNumber},
	{says: "kafka-get-offsets --topic orders", settles: lookedAt},
	{says: "kafka-get-offsets --topic orders --time earliest --partitions 0,2"},
	{says: "kafka-get-offsets --topic orders --time max-timestamp"},
	{says: "kafka-get-offsets --topic orders --time 1750000600000"},
	{says: "kafka-get-offsets --topic orders --time 1950000600000"},
	{says: "kafka-get-offsets --topic orders --time latest-tiered"},
	{says: "kafka-get-offsets --topic orders --time earliest-local"},
	{says: "kafka-get-offsets --topic-partitions 'orders:0-2,small' --exclude-internal-topics"},
	{says: "kafka-get-offsets --topic nowhere", fails: refused},
	{says: "kafka-delete-records --offset-json-file {files}/trim.json", with: map[string]string{"trim.json": `{"partitions": [{"topic": "trim", "partition": 0, "offset": 4}], "version": 1}`}},
	{says: "kafka-get-offsets --topic trim --time earliest"},
	{says: "kafka-delete-records --offset-json-file {files}/far.json", with: map[string]string{"far.json": `{"partitions": [{"topic": "trim", "partition": 0, "offset": 400}], "version": 1}`}},
	{says: "kafka-delete-records --offset-json-file {files}/all.json", with: map[string]string{"all.json": `{"partitions": [{"topic": "trim", "partition": 0, "offset": -1}], "version": 1}`}},
	{says: "kafka-get-offsets --topic trim --time earliest"},
}

// memberSteps look at a group that has members: live, with two of them, one static.
var memberSteps = []step{
	{says: "kafka-consumer-groups --list", settles: lookedAt},
	{says: "kafka-consumer-groups --list --state --type", settles: lookedAt},
	{says: "kafka-consumer-groups --list --state Stable", settles: lookedAt},
	{says: "kafka-consumer-groups --list --type classic", settles: lookedAt},
	{says: "kafka-consumer-groups --list --type consumer", settles: lookedAt},
	{says: "kafka-groups --list", settles: lookedAt},
	{says: "kafka-groups --list --consumer", settles: lookedAt},
	{says: "kafka-groups --list --group-type classic --protocol consumer", settles: lookedAt},
	{says: "kafka-groups --list --share", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group live", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group live --offsets --verbose", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group live --members", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group live --members --verbose", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group live --state", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group live --state --verbose", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --all-groups", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --all-groups --members", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --all-groups --state", settles: lookedAt},
	{says: "kafka-consumer-groups --reset-offsets --group live --topic orders --to-earliest --execute"},
	{says: "kafka-consumer-groups --delete --group live"},
	{says: "kafka-consumer-groups --delete-offsets --group live --topic orders"},
}

// offsetSteps reset and delete the offsets of groups without members, and the groups.
var offsetSteps = []step{
	{says: "kafka-consumer-groups --describe --group resting", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group resting --state", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group resting --members", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group nobody"},
	{says: "kafka-consumer-groups --describe --group nobody --state"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders --to-earliest"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders --to-earliest --dry-run"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders --to-earliest --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders --to-latest --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders:0,2 --to-offset 5 --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders --to-offset 500 --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders --shift-by -3 --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders --shift-by 100 --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --all-topics --to-datetime 2025-06-15T15:10:00.000Z --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --topic orders --by-duration PT1H --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --all-topics --to-current --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --all-topics --to-offset 2 --export"},
	{says: "kafka-consumer-groups --reset-offsets --group resting --from-file {files}/plan.csv --execute", with: map[string]string{"plan.csv": "orders,0,1\norders,1,2\norders,2,3\n"}},
	{says: "kafka-consumer-groups --describe --group resting", settles: lookedAt},
	{says: "kafka-consumer-groups --reset-offsets --group fresh --topic orders --to-earliest --execute"},
	{says: "kafka-consumer-groups --reset-offsets --group fresh --topic nowhere --to-earliest --execute"},
	{says: "kafka-consumer-groups --reset-offsets --all-groups --topic orders --to-earliest --dry-run"},
	{says: "kafka-consumer-groups --delete-offsets --group resting --topic orders:1"},
	{says: "kafka-consumer-groups --delete-offsets --group resting --topic nowhere:0"},
	{says: "kafka-consumer-groups --delete-offsets --group nobody --topic orders"},
	{says: "kafka-consumer-groups --describe --group resting --offsets", settles: lookedAt},
	{says: "kafka-consumer-groups --describe --group lost", settles: lookedAt},
	{says: "kafka-consumer-groups --delete --group fresh --group nobody"},
	{says: "kafka-consumer-groups --delete --group resting"},
	{says: "kafka-consumer-groups --delete --all-groups"},
	{says: "kafka-consumer-groups --list", settles: lookedAt},
	{says: "kafka-consumer-groups --validate-regex 'orders.*'"},
}

// clusterSteps look at brokers, replicas and the cluster.
var clusterSteps = []step{
	{says: "kafka-cluster cluster-id --bootstrap-server {addr}"},
	{says: "kafka-cluster list-endpoints --bootstrap-server {addr}"},
	{says: "kafka-cluster unregister --bootstrap-server {addr} --id 7", needs: []kmsg.Key{kmsg.UnregisterBroker}, fails: refused},
	{says: "kafka-broker-api-versions", byKey: true},
	{says: "kafka-log-dirs --describe --topic-list small"},
	{says: "kafka-log-dirs --describe --broker-list 1 --topic-list orders"},
	{says: "kafka-log-dirs --describe --broker-list 9", fails: refused},
	{says: "kafka-reassign-partitions --generate --topics-to-move-json-file {files}/topics.json --broker-list 1", with: map[string]string{"topics.json": `{"topics": [{"topic": "orders"}], "version": 1}`}},
	{says: "kafka-reassign-partitions --execute --reassignment-json-file {files}/same.json", with: map[string]string{"same.json": `{"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [1]}]}`}},
	{says: "kafka-reassign-partitions --verify --reassignment-json-file {files}/same.json", with: map[string]string{"same.json": `{"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [1]}]}`}},
	{says: "kafka-reassign-partitions --list"},
	{says: "kafka-reassign-partitions --cancel --reassignment-json-file {files}/same.json", with: map[string]string{"same.json": `{"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [1]}]}`}},
	{says: "kafka-reassign-partitions --execute --reassignment-json-file {files}/away.json", fails: refused, with: map[string]string{"away.json": `{"version": 1, "partitions": [{"topic": "orders", "partition": 0, "replicas": [9]}]}`}},
	{says: "kafka-leader-election --election-type preferred --topic orders --partition 0", needs: []kmsg.Key{kmsg.ElectLeaders}},
	{says: "kafka-leader-election --election-type unclean --all-topic-partitions", needs: []kmsg.Key{kmsg.ElectLeaders}},
	{says: "kafka-leader-election --election-type preferred --path-to-json-file {files}/elect.json", needs: []kmsg.Key{kmsg.ElectLeaders}, fails: refused, with: map[string]string{"elect.json": `{"partitions": [{"topic": "nowhere", "partition": 1}]}`}},
	{says: "kafka-metadata-quorum describe --status", needs: []kmsg.Key{kmsg.DescribeQuorum}, numbers: anyNumber},
	{says: "kafka-metadata-quorum describe --replication", needs: []kmsg.Key{kmsg.DescribeQuorum}, numbers: anyNumber},
	{says: "kafka-metadata-quorum describe --replication --human-readable", needs: []kmsg.Key{kmsg.DescribeQuorum}, numbers: anyNumber},
	{says: "kafka-features describe", needs: []kmsg.Key{kmsg.UpdateFeatures}, numbers: anyNumber},
	{says: "kafka-features upgrade --feature no.such.version=1 --dry-run", needs: []kmsg.Key{kmsg.UpdateFeatures}, fails: refused},
	{says: "kafka-features version-mapping --release-version 4.3-IV0"},
}
