package admin

import (
	"cmp"
	"slices"
	"strconv"
)

// The names in this file are those the JMX exporter and kafka_exporter produce, because dashboards and alert rules know them:
// kafka_<domain>_<type>_<name>, lower case, a meter's count as _total, a percent gauge as _percent (a ratio, 0 to 1).

// topicsMax bounds the topics /metrics shows by name; the others are summed under topicOther, which is no legal topic name.
const (
	topicsMax  = 200
	topicOther = "(other)"
)

// timeQuantiles are those of Kafka's request time histograms.
var timeQuantiles = []float64{0.5, 0.75, 0.95, 0.98, 0.99, 0.999}

// writeKafkaBroker writes what the shards alone can tell under Kafka's names.
func writeKafkaBroker(p *page, s *scrape) {
	idle := s.idleRatio()
	p.open("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", gauge, "Mean idle share of the shards over the last window, 0 to 1.")
	p.sample(idle)
	p.open("kafka_network_socketserver_networkprocessoravgidle_percent", gauge, "The same: network and handlers are one loop here.")
	p.sample(idle)
	p.open("kafka_server_replicamanager_partitioncount", gauge, "Replicas on this broker.")
	p.count(s.total.Partitions)
	p.open("kafka_server_replicamanager_leadercount", gauge, "Replicas on this broker that lead.")
	p.count(s.total.Leaders)

	writeCleaner(p, s)
	var produce, fetch Buckets
	for i := range s.window {
		produce.Add(&s.window[i].produce)
		fetch.Add(&s.window[i].fetch)
	}
	p.open("kafka_network_requestmetrics_totaltimems", summary, "Time of a request in milliseconds over the last window.")
	for _, q := range timeQuantiles {
		label := strconv.FormatFloat(q, 'g', -1, 64)
		p.sample(produce.Quantile(q).Seconds()*1e3, "request", "Produce", "quantile", label)
		p.sample(fetch.Quantile(q).Seconds()*1e3, "request", "FetchConsumer", "quantile", label)
	}
}

// writeCleaner writes Kafka's LogCleaner and LogCleanerManager, and the counters those lack.
func writeCleaner(p *page, s *scrape) {
	dirty, longest := uint64(0), uint64(0)
	for i := range s.shards {
		dirty, longest = max(dirty, s.shards[i].DirtyMax), max(longest, s.shards[i].CleanMillisMax)
	}
	p.open("kafka_log_logcleanermanager_max_dirty_percent", gauge, "Part of the filthiest compacted log that is not compacted, in percent.")
	p.sample(float64(dirty) / 10)
	p.open("kafka_log_logcleanermanager_uncleanable_partitions_count", gauge, "Logs that compaction has given up after an error.")
	p.count(s.total.Uncleanable)
	p.open("kafka_log_logcleaner_max_clean_time_secs", gauge, "The longest pass of compaction since start.")
	p.sample(float64(longest) / 1e3)
	p.open("pinion_compaction_passes_total", counter, "Passes of compaction that ended well.")
	p.count(s.total.CleanPasses)
	p.open("pinion_compaction_read_bytes_total", counter, "Bytes read by compaction.")
	p.count(s.total.CleanRead)
	p.open("pinion_compaction_written_bytes_total", counter, "Bytes written by compaction.")
	p.count(s.total.CleanWritten)
	p.open("pinion_compaction_removed_records_total", counter, "Records removed by compaction.")
	p.count(s.total.CleanRemoved)
}

// writeCluster writes what the catalogue's image says.
func writeCluster(p *page, c ClusterStats) {
	active := uint64(0)
	if c.Controller {
		active = 1
	}
	offline := uint64(0)
	for _, d := range c.Directories {
		if d.Offline {
			offline++
		}
	}
	families := []struct {
		name, help string
		kind       kind
		value      uint64
	}{
		{"kafka_brokers", "Brokers in the cluster.", gauge, uint64(len(c.Brokers))},
		{"kafka_controller_kafkacontroller_activecontrollercount", "1 on the active controller.", gauge, active},
		{"kafka_controller_kafkacontroller_offlinepartitionscount", "Partitions without a leader.", gauge, c.Offline},
		{"kafka_controller_kafkacontroller_globaltopiccount", "Topics in the cluster.", gauge, uint64(c.Topics)},
		{"kafka_controller_kafkacontroller_globalpartitioncount", "Partitions in the cluster.", gauge, c.Partitions},
		{"kafka_server_replicamanager_underreplicatedpartitions", "Partitions led here with replicas out of sync.", gauge, c.UnderReplicated},
		{"kafka_server_replicamanager_underminisrpartitioncount", "Partitions led here with too few in sync to write.", gauge, c.UnderMinISR},
		{"kafka_server_replicamanager_isrshrinks_total", "Replicas that fell out of sync.", counter, c.ISRShrinks},
		{"kafka_server_replicamanager_isrexpands_total", "Replicas that came back into sync.", counter, c.ISRExpands},
		{"kafka_log_logmanager_offlinelogdirectorycount", "Log directories taken out of service.", gauge, offline},
		{"kafka_server_raftmetrics_current_epoch", "Term of the metadata log.", gauge, c.LeaderEpoch},
		{"kafka_server_raftmetrics_high_watermark", "Committed end of the metadata log.", gauge, c.HighWatermark},
		{"pinion_journal_writes_total", "Durable writes of the journal.", counter, c.Journal.Writes},
		{"pinion_journal_commits_total", "Turns of shards that were made durable by them.", counter, c.Journal.Commits},
		{"pinion_journal_bytes_total", "Bytes written to the journal.", counter, c.Journal.Bytes},
		{"pinion_journal_waits_total", "Times that producers waited because every journal file was needed.", counter, c.Journal.Waits},
		{"pinion_journal_files", "Files of the journal.", gauge, c.Journal.Files},
		{"pinion_journal_files_needed", "Journal files that hold what the segments may lack.", gauge, c.Journal.Used},
		{"pinion_image_revision", "Revision of the catalogue image in use.", gauge, c.ImageRevision},
	}
	for _, f := range families {
		p.open(f.name, f.kind, f.help)
		p.count(f.value)
	}
	p.open("kafka_log_logmanager_logdirectoryoffline", gauge, "1 for a log directory out of service.")
	for _, d := range c.Directories {
		p.sample(one(d.Offline), "logdirectory", d.Path)
	}
	p.open("pinion_log_directory_full", gauge, "1 for a log directory with so little room that records are refused, or will be soon.")
	for _, d := range c.Directories {
		p.sample(one(d.Full), "logdirectory", d.Path)
	}
	p.open("kafka_broker_info", gauge, "Brokers by id; always 1.")
	for _, b := range c.Brokers {
		p.sample(1, "id", strconv.Itoa(int(b.ID)), "address", b.Address)
	}
}

// one is a flag as a sample.
func one(flag bool) float64 {
	if flag {
		return 1
	}
	return 0
}

// writeTopics writes Kafka's BrokerTopicMetrics: the broker's own without a label, and one series per topic. Dashboards tell the two
// apart by topic!="".
func (m *Meter) writeTopics(p *page, total *TopicCounts) {
	var topics []TopicStats
	if m.Topics != nil {
		topics = largestTopics(m.Topics())
	}
	families := []struct {
		name, help string
		value      func(*TopicCounts) uint64
	}{
		{"messagesin", "Records produced.", func(c *TopicCounts) uint64 { return c.MessagesIn }},
		{"bytesin", "Record bytes produced.", func(c *TopicCounts) uint64 { return c.BytesIn }},
		{"bytesout", "Record bytes fetched by clients.", func(c *TopicCounts) uint64 { return c.BytesOut }},
		{"bytesrejected", "Record bytes refused.", func(c *TopicCounts) uint64 { return c.BytesRejected }},
		{"totalproducerequests", "Produces, per partition.", func(c *TopicCounts) uint64 { return c.ProduceRequests }},
		{"failedproducerequests", "Produces that failed, per partition.", func(c *TopicCounts) uint64 { return c.ProduceFailed }},
		{"totalfetchrequests", "Fetches, per partition.", func(c *TopicCounts) uint64 { return c.FetchRequests }},
		{"failedfetchrequests", "Fetches that failed, per partition.", func(c *TopicCounts) uint64 { return c.FetchFailed }},
		{"invalidmessagecrcrecords", "Batches refused by validation.", func(c *TopicCounts) uint64 { return c.InvalidRecords }},
	}
	for _, f := range families {
		p.open("kafka_server_brokertopicmetrics_"+f.name+"_total", counter, f.help)
		p.count(f.value(total))
		for i := range topics {
			p.count(f.value(&topics[i].Counts), "topic", topics[i].Name)
		}
	}
	if m.Topics == nil {
		return
	}
	p.open("kafka_topic_partitions", gauge, "Partitions of a topic.")
	for i := range topics {
		p.count(uint64(topics[i].Partitions), "topic", topics[i].Name)
	}
}

// largestTopics keeps the topicsMax topics with the most bytes, by name, and sums the rest. Memory is bounded by the node's own
// topic count: a scrape may hold them all for a moment.
func largestTopics(seq TopicSeq) []TopicStats {
	topics := slices.Collect(seq)
	if len(topics) > topicsMax {
		slices.SortFunc(topics, func(a, b TopicStats) int {
			return cmp.Or(
				cmp.Compare(b.Counts.BytesIn+b.Counts.BytesOut, a.Counts.BytesIn+a.Counts.BytesOut),
				cmp.Compare(a.Name, b.Name),
			)
		})
		other := TopicStats{Name: topicOther}
		for i := range topics[topicsMax:] {
			rest := &topics[topicsMax+i]
			other.Partitions += rest.Partitions
			other.Counts.add(&rest.Counts)
		}
		topics = append(topics[:topicsMax:topicsMax], other)
	}
	slices.SortFunc(topics, func(a, b TopicStats) int { return cmp.Compare(a.Name, b.Name) })
	return topics
}

// writePartitions writes kafka_exporter's series. The sequence is walked once per family, so that nothing is held.
func writePartitions(p *page, seq PartitionSeq) {
	families := []struct {
		name, help string
		value      func(*PartitionStats) float64
	}{
		{"kafka_topic_partition_current_offset", "High watermark.", func(t *PartitionStats) float64 { return float64(t.End) }},
		{"kafka_topic_partition_oldest_offset", "Log start offset.", func(t *PartitionStats) float64 { return float64(t.Start) }},
		{"kafka_topic_partition_replicas", "Replicas.", func(t *PartitionStats) float64 { return float64(t.Replicas) }},
		{"kafka_topic_partition_in_sync_replica", "Replicas in sync.", func(t *PartitionStats) float64 { return float64(t.ISR) }},
		{"kafka_topic_partition_leader", "Leader's broker id, -1 without one.", func(t *PartitionStats) float64 { return float64(t.Leader) }},
		{"kafka_topic_partition_leader_is_preferred", "1 when the first replica leads.", func(t *PartitionStats) float64 { return ratio(t.LeaderPreferred) }},
		{"kafka_topic_partition_under_replicated_partition", "1 when replicas are out of sync.", func(t *PartitionStats) float64 { return ratio(t.ISR < t.Replicas) }},
	}
	for _, f := range families {
		p.open(f.name, gauge, f.help)
		for t := range seq {
			p.sample(f.value(&t), "topic", t.Topic, "partition", strconv.Itoa(int(t.Partition)))
		}
	}
	p.open("kafka_log_log_size", gauge, "Bytes on this broker's disk.")
	for t := range seq {
		if t.Size >= 0 {
			p.sample(float64(t.Size), "topic", t.Topic, "partition", strconv.Itoa(int(t.Partition)))
		}
	}
}

func ratio(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
