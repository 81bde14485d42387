package admin

import (
	"cmp"
	"iter"
	"slices"
	"strconv"
)

// groupsMax bounds the groups /metrics shows by name; of more, those with the most lag are shown.
const groupsMax = 200

// GroupStats is a consumer group that this node coordinates.
type GroupStats struct {
	Name    string
	Members int
	Read    []ReadStats // by topic and partition, in order
}

// ReadStats is how far a group has read one partition. Lag is -1 where the partition's end is not known here.
type ReadStats struct {
	Topic          string
	Partition      int32
	Committed, Lag int64
}

// GroupSeq yields every group once.
type GroupSeq = iter.Seq[GroupStats]

// lag is what the group has not read yet, of all that is known.
func (g *GroupStats) lag() (sum int64) {
	for i := range g.Read {
		sum += max(g.Read[i].Lag, 0)
	}
	return sum
}

// writeGroups writes kafka_exporter's sums of groups.
func writeGroups(p *page, seq GroupSeq) {
	groups := slices.Collect(seq)
	if len(groups) > groupsMax {
		slices.SortFunc(groups, func(a, b GroupStats) int { return cmp.Or(cmp.Compare(b.lag(), a.lag()), cmp.Compare(a.Name, b.Name)) })
		groups = groups[:groupsMax]
	}
	slices.SortFunc(groups, func(a, b GroupStats) int { return cmp.Compare(a.Name, b.Name) })
	p.open("kafka_consumergroup_members", gauge, "Members of a group.")
	for i := range groups {
		p.count(uint64(groups[i].Members), "consumergroup", groups[i].Name)
	}
	sums := func(name, help string, value func(r *ReadStats) int64) {
		p.open(name, gauge, help)
		for i := range groups {
			read := groups[i].Read
			for j := 0; j < len(read); {
				topic, sum := read[j].Topic, int64(0)
				for ; j < len(read) && read[j].Topic == topic; j++ {
					sum += max(value(&read[j]), 0)
				}
				p.sample(float64(sum), "consumergroup", groups[i].Name, "topic", topic)
			}
		}
	}
	sums("kafka_consumergroup_current_offset_sum", "Offsets a group has committed for a topic, summed.", func(r *ReadStats) int64 { return r.Committed })
	sums("kafka_consumergroup_lag_sum", "Records of a topic a group has not read.", func(r *ReadStats) int64 { return r.Lag })
}

// writeGroupPartitions writes them partition by partition.
func writeGroupPartitions(p *page, seq GroupSeq) {
	groups := slices.Collect(seq)
	slices.SortFunc(groups, func(a, b GroupStats) int { return cmp.Compare(a.Name, b.Name) })
	each := func(name, help string, value func(r *ReadStats) int64) {
		p.open(name, gauge, help)
		for i := range groups {
			for j := range groups[i].Read {
				r := &groups[i].Read[j]
				if v := value(r); v >= 0 {
					p.sample(float64(v), "consumergroup", groups[i].Name, "topic", r.Topic, "partition", strconv.Itoa(int(r.Partition)))
				}
			}
		}
	}
	each("kafka_consumergroup_current_offset", "Offset a group has committed.", func(r *ReadStats) int64 { return r.Committed })
	each("kafka_consumergroup_lag", "Records a group has not read.", func(r *ReadStats) int64 { return r.Lag })
}

// writeCoordinators writes what this node's coordinators have and did.
func writeCoordinators(p *page, total *ShardStats) {
	for _, f := range []struct {
		name, help string
		kind       kind
		value      uint64
	}{
		{"pinion_groups", "Groups coordinated here.", gauge, total.Groups},
		{"pinion_group_members", "Members of groups coordinated here.", gauge, total.GroupMembers},
		{"pinion_group_offsets", "Offsets kept for groups coordinated here.", gauge, total.GroupOffsets},
		{"pinion_group_partitions_loading", "Partitions of groups whose records are being read, or unreadable.", gauge, total.GroupsLoading},
		{"pinion_group_commits_total", "Offsets committed, each once it was durable.", counter, total.GroupCommits},
		{"pinion_group_rebalances_total", "Rebalances completed.", counter, total.GroupRebalances},
		{"pinion_group_offsets_expired_total", "Offsets forgotten because nobody used them.", counter, total.GroupExpired},
	} {
		p.open(f.name, f.kind, f.help)
		p.count(f.value)
	}
}
