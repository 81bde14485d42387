package admin

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pinion/engine/clock"
	"pinion/net/listen"
)

// busyMeter has two shards that have done something of everything.
func busyMeter(c clock.Clock) *Meter {
	return NewMeter(MeterOptions{
		Version: "1.2.3-test", Shards: 2, Listener: "PLAINTEXT", Dealing: "ebpf-even", Clock: c,
		Stats: busyShard,
		Cluster: func() ClusterStats {
			return ClusterStats{Controller: true, Brokers: []BrokerStats{{1, "a:9092"}, {2, "b:9092"}}, Topics: 1, Partitions: 2, Offline: 1,
				Directories: []DirectoryStats{{Path: "/a", Full: true}, {Path: "/b", Offline: true}}}
		},
		Topics: func() TopicSeq {
			return func(yield func(TopicStats) bool) {
				yield(TopicStats{Name: "orders", Partitions: 2, Counts: TopicCounts{BytesIn: 7}})
			}
		},
		Partitions: func() PartitionSeq {
			return func(yield func(PartitionStats) bool) {
				_ = yield(PartitionStats{Topic: "orders", Partition: 0, End: 9, Leader: 1, Replicas: 1, ISR: 1, Size: 100}) &&
					yield(PartitionStats{Topic: "orders", Partition: 1, End: 5, Leader: -1, Replicas: 2, ISR: 1, Size: -1})
			}
		},
	})
}

func busyShard(shard int) (s ShardStats) {
	s.Requests[APIIndex(0)] = 10 + uint64(shard)
	s.Requests[APIIndex(1)] = 20
	s.Requests[APIIndex(3000)] = 1
	s.Errors[ErrorIndex(0)] = 30
	s.Errors[ErrorIndex(3)] = 2
	s.Errors[ErrorIndex(-1)] = 1
	s.Rejects[listen.TLS] = 4
	for i, n := range s.numbers() {
		*n = uint64(100*(shard+1) + i)
	}
	s.Topics.BytesIn = math.MaxUint64 / 4
	s.Turns.Observe(30 * time.Microsecond)
	s.ProduceTime.Observe(2 * time.Millisecond)
	return s
}

func render(write func(io.Writer)) string {
	var b bytes.Buffer
	write(&b)
	return b.String()
}

// value finds one sample.
func value(t *testing.T, page, series string) float64 {
	t.Helper()
	for line := range strings.Lines(page) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("no %s", series)
	return 0
}

var sampleLine = regexp.MustCompile(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:, ?[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*")*\})? (\S+)$`)

// checkPage holds a page against the text format: each family is announced once and its samples follow, no series comes twice,
// histogram buckets do not fall, values are numbers.
func checkPage(t *testing.T, page string) {
	t.Helper()
	announced, seen := map[string]bool{}, map[string]bool{}
	family, below := "", map[string]float64{}
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, _, _ = strings.Cut(name, " ")
			if announced[family] {
				t.Errorf("family %s comes twice", family)
			}
			announced[family] = true
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not a sample: %q", line)
		}
		base := m[1]
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if s := strings.TrimSuffix(base, suffix); s != base && s == family {
				base = s
			}
		}
		if base != family {
			t.Errorf("sample of %s under %s", base, family)
		}
		if seen[m[1]+m[2]] {
			t.Errorf("series %s%s comes twice", m[1], m[2])
		}
		seen[m[1]+m[2]] = true
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil || math.IsNaN(v) {
			t.Errorf("%s: value %q", m[1], m[3])
		}
		if strings.HasSuffix(m[1], "_bucket") {
			who := m[1] + m[2][:strings.LastIndex(m[2], "le=")]
			if v < below[who] {
				t.Errorf("bucket %s falls", m[2])
			}
			below[who] = v
		}
	}
	if len(seen) == 0 {
		t.Error("empty page")
	}
}

func TestMetricsPage(t *testing.T) {
	m := busyMeter(&clock.Hand{})
	m.Set().NewGauge(`pinion_test_gauge{a="b"}`, func() float64 { return 5 })
	m.Set().NewPrometheusHistogram(`pinion_fsync_seconds`).Update(0.01)
	page := render(m.WriteMetrics)
	checkPage(t, page)
	a, b := busyShard(0), busyShard(1)
	for series, want := range map[string]float64{
		`pinion_requests_total{api="Produce"}`:                                      21,
		`kafka_network_requestmetrics_requests_total{request="Fetch"}`:              40,
		`pinion_requests_total{api="other"}`:                                        2,
		`pinion_response_errors_total{error="UNKNOWN_TOPIC_OR_PARTITION"}`:          4,
		`pinion_response_errors_total{error="UNKNOWN_SERVER_ERROR"}`:                2,
		`pinion_throttled_connections_total`:                                        float64(a.Throttled + b.Throttled),
		`pinion_listener_rejects_total{reason="tls"}`:                               8,
		`pinion_socket_received_bytes_total`:                                        float64(a.SocketBytesIn + b.SocketBytesIn),
		`kafka_server_socket_server_metrics_connection_count{listener="PLAINTEXT"}`: float64(a.Connections + b.Connections),
		`pinion_shard_connections{shard="1"}`:                                       float64(b.Connections),
		`pinion_shard_budget_limit_bytes{shard="0",budget="response"}`:              float64(a.ResponseBytesLimit),
		`kafka_server_replicamanager_leadercount`:                                   float64(a.Leaders + b.Leaders),
		`pinion_listener_dealing_info{rung="ebpf-even"}`:                            1,
		`pinion_request_seconds_count{api="Produce"}`:                               2,
		`kafka_brokers`: 2,
		`kafka_broker_info{id="2",address="b:9092"}`:                    1,
		`kafka_controller_kafkacontroller_activecontrollercount`:        1,
		`kafka_controller_kafkacontroller_offlinepartitionscount`:       1,
		`kafka_server_brokertopicmetrics_bytesin_total{topic="orders"}`: 7,
		`kafka_topic_partitions{topic="orders"}`:                        2,
		`pinion_test_gauge{a="b"}`:                                      5,
		`pinion_fsync_seconds_bucket{le="+Inf"}`:                        1,
		`pinion_log_directory_full{logdirectory="/a"}`:                  1,
		`pinion_log_directory_full{logdirectory="/b"}`:                  0,
		`kafka_log_logmanager_logdirectoryoffline{logdirectory="/b"}`:   1,
	} {
		if got := value(t, page, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if value(t, page, "process_open_fds") < 3 || value(t, page, "go_goroutines") < 1 {
		t.Error("no process metrics")
	}
	// A counter beyond 2^53 keeps its last digit.
	if want := fmt.Sprintf("kafka_server_brokertopicmetrics_bytesin_total %d\n", uint64(math.MaxUint64/4)*2); !strings.Contains(page, want) {
		t.Errorf("lost digits; want %s", want)
	}
	if strings.Contains(page, "error=\"NONE\"") {
		t.Error("success counted as an error")
	}
}

func TestOtherPages(t *testing.T) {
	m := busyMeter(&clock.Hand{})
	shards, partitions := render(m.WriteShardMetrics), render(m.WritePartitionMetrics)
	checkPage(t, shards)
	checkPage(t, partitions)
	for series, want := range map[string]float64{
		`pinion_shard_turn_seconds_bucket{shard="1",le="1.6384e-05"}`: 0,
		`pinion_shard_turn_seconds_bucket{shard="1",le="3.2768e-05"}`: 1,
		`pinion_shard_requests_total{shard="1",api="Produce"}`:        11,
	} {
		if got := value(t, shards, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	for series, want := range map[string]float64{
		`kafka_topic_partition_current_offset{topic="orders",partition="0"}`:             9,
		`kafka_topic_partition_leader{topic="orders",partition="1"}`:                     -1,
		`kafka_topic_partition_under_replicated_partition{topic="orders",partition="1"}`: 1,
		`kafka_log_log_size{topic="orders",partition="0"}`:                               100,
	} {
		if got := value(t, partitions, series); got != want {
			t.Errorf("%s is %v, want %v", series, got, want)
		}
	}
	if strings.Contains(partitions, `kafka_log_log_size{topic="orders",partition="1"}`) {
		t.Error("a size where there is no replica")
	}
}

// Without optional sources nothing may break: a broker that starts has no image yet.
func TestBareMeter(t *testing.T) {
	m := NewMeter(MeterOptions{Shards: 1, Stats: func(int) ShardStats { return ShardStats{} }})
	checkPage(t, render(m.WriteMetrics))
	checkPage(t, render(m.WriteShardMetrics))
	if page := render(m.WritePartitionMetrics); page != "" {
		t.Errorf("partitions from nowhere: %q", page)
	}
}

// Ratios and quantiles must speak about the last window, not about the time since start.
func TestWindow(t *testing.T) {
	var hand clock.Hand
	var stats ShardStats
	m := NewMeter(MeterOptions{Shards: 1, Clock: &hand, Stats: func(int) ShardStats { return stats }})
	p99 := func(page string) float64 {
		return value(t, page, `pinion_shard_turn_quantile_seconds{shard="0",quantile="0.99"}`)
	}
	busy := func(page string) float64 { return value(t, page, `pinion_shard_busy_ratio{shard="0"}`) }

	// No time has passed: nothing to divide by.
	if page := render(m.WriteMetrics); busy(page) != 0 || p99(page) != 0 {
		t.Errorf("at start: busy %v, p99 %v", busy(page), p99(page))
	}
	// Twenty seconds of slow turns, all of the time.
	hand.Advance(20 * time.Second)
	stats.BusyNanos = uint64(20 * time.Second)
	for range 1000 {
		stats.Turns.Observe(20 * time.Millisecond)
	}
	if page := render(m.WriteMetrics); busy(page) != 1 || p99(page) < 0.015 || p99(page) > 0.04 {
		t.Errorf("busy: busy %v, p99 %v", busy(page), p99(page))
	}
	// Then a minute of fast ones, a tenth of the time, scraped every five seconds: the slow ones must be forgotten.
	for range 12 {
		hand.Advance(5 * time.Second)
		stats.BusyNanos += uint64(500 * time.Millisecond)
		for range 10 {
			stats.Turns.Observe(10 * time.Microsecond)
		}
		render(m.WriteMetrics)
	}
	page := render(m.WriteMetrics)
	if math.Abs(busy(page)-0.1) > 1e-6 || p99(page) > 20e-6 || p99(page) < 5e-6 {
		t.Errorf("calm: busy %v, p99 %v", busy(page), p99(page))
	}
	if got := value(t, page, "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent"); math.Abs(got-0.9) > 1e-6 {
		t.Errorf("idle %v", got)
	}
	// A shard that starts over (its counters fall) must not give absurd numbers.
	stats = ShardStats{}
	hand.Advance(time.Second)
	if page := render(m.WriteMetrics); busy(page) < 0 || busy(page) > 1 {
		t.Errorf("after a reset: busy %v", busy(page))
	}
}

func TestLargestTopics(t *testing.T) {
	const topics = topicsMax + 50
	m := NewMeter(MeterOptions{Shards: 1, Stats: func(int) ShardStats { return ShardStats{} }, Topics: func() TopicSeq {
		return func(yield func(TopicStats) bool) {
			for i := range topics {
				if !yield(TopicStats{Name: fmt.Sprintf("t%04d", i), Partitions: 3, Counts: TopicCounts{BytesIn: uint64(i)}}) {
					return
				}
			}
		}
	}})
	page := render(m.WriteMetrics)
	checkPage(t, page)
	rest := 0.0
	for i := range topics - topicsMax {
		rest += float64(i)
	}
	if got := value(t, page, `kafka_server_brokertopicmetrics_bytesin_total{topic="(other)"}`); got != rest {
		t.Errorf("others sum to %v, want %v", got, rest)
	}
	if got := value(t, page, `kafka_topic_partitions{topic="(other)"}`); got != 150 {
		t.Errorf("others have %v partitions", got)
	}
	if strings.Contains(page, `"t0049"`) || !strings.Contains(page, `"t0050"`) {
		t.Error("the wrong topics are shown")
	}
}

// Every number of ShardStats and TopicCounts must take part in the sums; a field added later must not be forgotten.
func TestAddForgetsNothing(t *testing.T) {
	var one, sum ShardStats
	fill(reflect.ValueOf(&one).Elem())
	sum.add(&one)
	sum.add(&one)
	compareDouble(t, "ShardStats", reflect.ValueOf(one), reflect.ValueOf(sum))
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Uint64:
		v.SetUint(3)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	default:
		panic("unexpected kind " + v.Kind().String())
	}
}

func compareDouble(t *testing.T, path string, one, sum reflect.Value) {
	t.Helper()
	switch one.Kind() {
	case reflect.Uint64:
		if sum.Uint() != 2*one.Uint() {
			t.Errorf("%s: %d and %d make %d", path, one.Uint(), one.Uint(), sum.Uint())
		}
	case reflect.Array:
		for i := range one.Len() {
			compareDouble(t, fmt.Sprintf("%s[%d]", path, i), one.Index(i), sum.Index(i))
		}
	case reflect.Struct:
		for i := range one.NumField() {
			compareDouble(t, path+"."+one.Type().Field(i).Name, one.Field(i), sum.Field(i))
		}
	}
}

func TestNames(t *testing.T) {
	for name, list := range map[string][]string{"api": apiNames[:], "error": errorNames[:]} {
		seen := map[string]bool{}
		for i, n := range list {
			if n == "" || seen[n] {
				t.Errorf("%s %d: name %q empty or twice", name, i, n)
			}
			seen[n] = true
		}
	}
	for code, want := range map[int16]string{-1: "UNKNOWN_SERVER_ERROR", 0: "NONE", 6: "NOT_LEADER_FOR_PARTITION", 2000: "UNKNOWN_SERVER_ERROR", -7: "UNKNOWN_SERVER_ERROR"} {
		if got := errorNames[ErrorIndex(code)]; got != want {
			t.Errorf("code %d: %s", code, got)
		}
	}
	for key, want := range map[int16]string{0: "Produce", 18: "ApiVersions", -1: "other", 32000: "other"} {
		if got := apiNames[APIIndex(key)]; got != want {
			t.Errorf("key %d: %s", key, got)
		}
	}
}
