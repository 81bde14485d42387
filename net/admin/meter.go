package admin

import (
	"io"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"pinion/engine/clock"
)

// MeterOptions says where the numbers come from. Stats is required; a nil function leaves its series out. All functions are called on
// the admin server's goroutines.
type MeterOptions struct {
	Version  string
	Shards   int
	Listener string // Kafka's listener name, for connection_count
	Dealing  string // steer.Rung.Name
	Clock    clock.Clock

	Stats      func(shard int) ShardStats
	Cluster    func() ClusterStats
	Topics     func() TopicSeq
	Partitions func() PartitionSeq
	Groups     func() GroupSeq
}

// Meter turns what the shards count into the pages of /metrics. It keeps two earlier copies per shard, so that ratios and quantiles
// speak about the last tens of seconds and not about the time since start. It implements the metrics half of Source, and Detail.
type Meter struct {
	// Immutable after NewMeter.
	MeterOptions
	set *metrics.Set

	mu    sync.Mutex // guards what follows
	older mark       // where the window begins
	newer mark       // where the next one will
}

// mark is a copy of the counters that a window is measured against.
type mark struct {
	at     clock.Mono
	shards []shardMark
}

type shardMark struct {
	busy           uint64
	turns          Buckets
	produce, fetch Buckets
}

// windowMin is the least age of the copy a ratio is measured against, once the meter runs that long. Two scrapers at different
// paces share the window.
const windowMin = 15 * time.Second

// NewMeter starts the first window now.
func NewMeter(o MeterOptions) *Meter {
	if o.Clock == nil {
		o.Clock = clock.Real{}
	}
	// The library's pages carry TYPE and HELP only when told so, once for the process.
	metrics.ExposeMetadata(true)
	m := &Meter{MeterOptions: o, set: metrics.NewSet()}
	now := m.Clock.Now().Mono
	m.older = mark{at: now, shards: make([]shardMark, o.Shards)}
	m.newer = m.older
	return m
}

// Set is for cold metrics of other rooms (raft, disk, helpers): counters, gauges with callbacks, NewPrometheusHistogram. The library's
// plain Histogram has buckets that Prometheus cannot read, and its counters are too dear for a shard's turn.
func (m *Meter) Set() *metrics.Set { return m.set }

// scrape is one consistent view for one page.
type scrape struct {
	shards []ShardStats
	total  ShardStats // sums over shards; Buckets included
	window []shardMark
	length time.Duration // of the window
}

// look copies every shard's counters once and measures them against the window's beginning.
func (m *Meter) look() *scrape {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.Clock.Now().Mono
	s := &scrape{shards: make([]ShardStats, m.Shards), window: make([]shardMark, m.Shards)}
	current := mark{at: now, shards: make([]shardMark, m.Shards)}
	for i := range s.shards {
		stats := m.Stats(i)
		s.shards[i] = stats
		s.total.add(&stats)
		current.shards[i] = shardMark{busy: stats.BusyNanos, turns: stats.Turns, produce: stats.ProduceTime, fetch: stats.FetchTime}
	}
	if now.Sub(m.newer.at) >= windowMin {
		m.older, m.newer = m.newer, current
	}
	s.length = now.Sub(m.older.at)
	for i := range s.window {
		s.window[i] = current.shards[i].since(&m.older.shards[i])
	}
	return s
}

func (s *shardMark) since(earlier *shardMark) shardMark {
	out := shardMark{
		turns:   s.turns.Since(&earlier.turns),
		produce: s.produce.Since(&earlier.produce),
		fetch:   s.fetch.Since(&earlier.fetch),
		busy:    s.busy,
	}
	if earlier.busy <= s.busy {
		out.busy -= earlier.busy
	}
	return out
}

// busyRatio is the share of the window a shard worked, 0 to 1.
func (s *scrape) busyRatio(shard int) float64 {
	if s.length <= 0 {
		return 0
	}
	return min(float64(s.window[shard].busy)/float64(s.length), 1)
}

// idleRatio is the mean over shards of what busyRatio leaves.
func (s *scrape) idleRatio() float64 {
	if len(s.shards) == 0 {
		return 1
	}
	sum := 0.0
	for i := range s.shards {
		sum += 1 - s.busyRatio(i)
	}
	return sum / float64(len(s.shards))
}

// WriteMetrics writes /metrics: sums over shards, a few series per shard, the largest topics.
func (m *Meter) WriteMetrics(w io.Writer) {
	s := m.look()
	p := &page{}
	m.writeIdentity(p)
	writeTraffic(p, &s.total)
	writeConnections(p, &s.total, m.Listener)
	writeShards(p, s)
	writeKafkaBroker(p, s)
	if m.Cluster != nil {
		writeCluster(p, m.Cluster())
	}
	m.writeTopics(p, &s.total.Topics)
	writeCoordinators(p, &s.total)
	if m.Groups != nil {
		writeGroups(p, m.Groups())
	}
	p.flush(w)
	m.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
	metrics.WriteFDMetrics(w)
}

// WriteShardMetrics writes /metrics/shards: histograms and counters of each shard.
func (m *Meter) WriteShardMetrics(w io.Writer) {
	s := m.look()
	p := &page{}
	writeShards(p, s)
	writeShardDetail(p, s)
	p.flush(w)
}

// WritePartitionMetrics writes /metrics/partitions under the names kafka_exporter uses.
func (m *Meter) WritePartitionMetrics(w io.Writer) {
	p := &page{}
	if m.Partitions != nil {
		writePartitions(p, m.Partitions())
	}
	if m.Groups != nil {
		writeGroupPartitions(p, m.Groups())
	}
	p.flush(w)
}

func (m *Meter) writeIdentity(p *page) {
	p.open("pinion_build_info", gauge, "What runs; always 1.")
	p.sample(1, "version", m.Version, "go", runtime.Version())
	p.open("pinion_shards", gauge, "Number of shards.")
	p.sample(float64(m.Shards))
	p.open("pinion_listener_dealing_info", gauge, "How the kernel deals connections to shards; always 1.")
	p.sample(1, "rung", m.Dealing)
}

func shardLabel(i int) string { return strconv.Itoa(i) }
