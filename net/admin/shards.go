package admin

// add sums counters and levels of two shards.
func (t *ShardStats) add(s *ShardStats) {
	for i, n := range s.Requests {
		t.Requests[i] += n
	}
	for i, n := range s.Errors {
		t.Errors[i] += n
	}
	for i, n := range s.Rejects {
		t.Rejects[i] += n
	}
	into, from := t.numbers(), s.numbers()
	for i := range into {
		*into[i] += *from[i]
	}
	t.Topics.add(&s.Topics)
	t.Turns.Add(&s.Turns)
	t.ProduceTime.Add(&s.ProduceTime)
	t.FetchTime.Add(&s.FetchTime)
}

// numbers lists the plain fields; a test checks that none is missing.
func (t *ShardStats) numbers() []*uint64 {
	return []*uint64{
		&t.SocketBytesIn, &t.SocketBytesOut,
		&t.Connections, &t.ConnectionsAccepted, &t.ConnectionsClosed, &t.ConnectionsMoved, &t.RefusedTotal, &t.RefusedPerIP, &t.RefusedExhausted,
		&t.Throttled, &t.ThrottledNanos,
		&t.BusyNanos,
		&t.RequestBytesUsed, &t.RequestBytesLimit, &t.ResponseBytesUsed, &t.ResponseBytesLimit, &t.ParkedBytesUsed, &t.ParkedBytesLimit,
		&t.Parked,
		&t.MailTaken, &t.Doorbells,
		&t.HelperJobs, &t.HelperWaiting, &t.ColdReads,
		&t.Partitions, &t.Leaders,
		&t.Groups, &t.GroupMembers, &t.GroupOffsets, &t.GroupsLoading, &t.GroupCommits, &t.GroupRebalances, &t.GroupExpired,
		&t.CleanPasses, &t.CleanRead, &t.CleanWritten, &t.CleanRemoved, &t.Uncleanable, &t.DirtyMax, &t.CleanMillisMax,
	}
}

// turnQuantiles are the ones /metrics shows per shard.
var turnQuantiles = []struct {
	label string
	q     float64
}{{"0.5", 0.5}, {"0.99", 0.99}, {"0.999", 0.999}}

// writeShards writes the few series per shard that belong on every dashboard: is one shard busier, slower or fuller than the others?
func writeShards(p *page, s *scrape) {
	p.open("pinion_shard_busy_seconds_total", counter, "Time the shard worked.")
	for i := range s.shards {
		p.sample(float64(s.shards[i].BusyNanos)/1e9, "shard", shardLabel(i))
	}
	p.open("pinion_shard_busy_ratio", gauge, "Share of the last window the shard worked, 0 to 1.")
	for i := range s.shards {
		p.sample(s.busyRatio(i), "shard", shardLabel(i))
	}
	p.open("pinion_shard_turn_quantile_seconds", summary, "Length of a turn of the loop over the last window.")
	for i := range s.shards {
		for _, tq := range turnQuantiles {
			p.sample(s.window[i].turns.Quantile(tq.q).Seconds(), "shard", shardLabel(i), "quantile", tq.label)
		}
	}
	levels := []struct {
		name, help string
		value      func(*ShardStats) uint64
	}{
		{"pinion_shard_connections", "Connections the shard is home to.", func(t *ShardStats) uint64 { return t.Connections }},
		{"pinion_shard_partitions", "Replicas the shard owns.", func(t *ShardStats) uint64 { return t.Partitions }},
		{"pinion_shard_leaders", "Replicas the shard owns that lead.", func(t *ShardStats) uint64 { return t.Leaders }},
		{"pinion_shard_parked_requests", "Requests that wait for an acknowledgement or for data.", func(t *ShardStats) uint64 { return t.Parked }},
		{"pinion_shard_helper_waiting", "Jobs that wait for a helper thread.", func(t *ShardStats) uint64 { return t.HelperWaiting }},
	}
	for _, l := range levels {
		p.open(l.name, gauge, l.help)
		for i := range s.shards {
			p.count(l.value(&s.shards[i]), "shard", shardLabel(i))
		}
	}
	writeBudgets(p, s)
}

func writeBudgets(p *page, s *scrape) {
	p.open("pinion_shard_budget_used_bytes", gauge, "Memory in use of a shard's budget.")
	for i := range s.shards {
		t := &s.shards[i]
		p.count(t.RequestBytesUsed, "shard", shardLabel(i), "budget", "request")
		p.count(t.ResponseBytesUsed, "shard", shardLabel(i), "budget", "response")
		p.count(t.ParkedBytesUsed, "shard", shardLabel(i), "budget", "parked")
	}
	p.open("pinion_shard_budget_limit_bytes", gauge, "Size of a shard's memory budget.")
	for i := range s.shards {
		t := &s.shards[i]
		p.count(t.RequestBytesLimit, "shard", shardLabel(i), "budget", "request")
		p.count(t.ResponseBytesLimit, "shard", shardLabel(i), "budget", "response")
		p.count(t.ParkedBytesLimit, "shard", shardLabel(i), "budget", "parked")
	}
}

// writeShardDetail writes what is too much for every scrape.
func writeShardDetail(p *page, s *scrape) {
	p.open("pinion_shard_turn_seconds", histogram, "Length of a turn of the loop, sleep not included.")
	for i := range s.shards {
		p.buckets(&s.shards[i].Turns, "shard", shardLabel(i))
	}
	p.open("pinion_shard_request_seconds", histogram, "Time from a request's last byte read to its answer's first byte written.")
	for i := range s.shards {
		p.buckets(&s.shards[i].ProduceTime, "shard", shardLabel(i), "api", "Produce")
		p.buckets(&s.shards[i].FetchTime, "shard", shardLabel(i), "api", "Fetch")
	}
	p.open("pinion_shard_requests_total", counter, "Requests answered.")
	for i := range s.shards {
		for key, n := range s.shards[i].Requests {
			if n > 0 {
				p.count(n, "shard", shardLabel(i), "api", apiNames[key])
			}
		}
	}
	counters := []struct {
		name, help string
		value      func(*ShardStats) uint64
	}{
		{"pinion_shard_connections_accepted_total", "Connections accepted.", func(t *ShardStats) uint64 { return t.ConnectionsAccepted }},
		{"pinion_shard_socket_received_bytes_total", "Bytes read from clients.", func(t *ShardStats) uint64 { return t.SocketBytesIn }},
		{"pinion_shard_socket_sent_bytes_total", "Bytes written to clients.", func(t *ShardStats) uint64 { return t.SocketBytesOut }},
		{"pinion_shard_mail_total", "Mail the shard took.", func(t *ShardStats) uint64 { return t.MailTaken }},
		{"pinion_shard_doorbells_total", "Sleeping shards woken.", func(t *ShardStats) uint64 { return t.Doorbells }},
		{"pinion_shard_helper_jobs_total", "Jobs helpers have done.", func(t *ShardStats) uint64 { return t.HelperJobs }},
		{"pinion_shard_cold_reads_total", "Reads that missed the page cache.", func(t *ShardStats) uint64 { return t.ColdReads }},
	}
	for _, c := range counters {
		p.open(c.name, counter, c.help)
		for i := range s.shards {
			p.count(c.value(&s.shards[i]), "shard", shardLabel(i))
		}
	}
}
