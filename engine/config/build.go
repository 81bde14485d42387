package config

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinion/engine/model"
	"pinion/engine/must"
	"pinion/engine/quota"
)

// build reads every key with an effect. What does not fit together becomes a problem; what was wrong by itself was reported
// when it was gathered and stands at its default here.
func build(g *gatherer) *Broker {
	b := &Broker{
		NodeID:  g.nodeID(),
		Rack:    g.text("broker.rack"),
		LogDirs: g.logDirs(), MetadataDir: g.text("metadata.log.dir"),
		Pinion: g.pinion(),

		AutoCreateTopics:         g.flag("auto.create.topics.enable"),
		DeleteTopics:             g.flag("delete.topic.enable"),
		NumPartitions:            g.int32("num.partitions"),
		DefaultReplicationFactor: int16(g.number("default.replication.factor")),

		SocketSendBufferBytes:    g.int32("socket.send.buffer.bytes"),
		SocketReceiveBufferBytes: g.int32("socket.receive.buffer.bytes"),
		SocketRequestBytesMax:    g.int32("socket.request.max.bytes"),
		SocketBacklog:            g.int32("socket.listen.backlog.size"),
		ConnectionsIdleMax:       g.duration("connections.max.idle.ms"),
		ConnectionsMax:           g.int32("max.connections"),
		ConnectionsRateMax:       g.int32("max.connection.creation.rate"),
		ConnectionsPerIPMax:      g.int32("max.connections.per.ip"),
		ConnectionsPerIP:         g.overridesPerIP(),

		FetchBytesMax:         g.int32("fetch.max.bytes"),
		FetchSessionSlots:     g.int32("max.incremental.fetch.session.cache.slots"),
		DescribePartitionsMax: g.int32("max.request.partition.size.limit"),
		ProducerIDExpiration:  g.duration("producer.id.expiration.ms"),
		ProducerIDCheck:       g.duration("producer.id.expiration.check.interval.ms"),
		RetentionCheck:        g.duration("log.retention.check.interval.ms"),
		RecoveryPointInterval: g.duration("log.flush.offset.checkpoint.interval.ms"),
		RecoveryThreads:       g.int32("num.recovery.threads.per.data.dir"),

		RelocateBytesPerSecond: g.relocateRate(),

		Cleaner: g.cleaner(),
		Groups:  g.groups(),
		Quotas:  quota.Pace{Windows: int(g.number("quota.window.num")), Window: time.Duration(g.number("quota.window.size.seconds")) * time.Second},

		settings: g.settings,
	}
	b.Cordoned = g.cordoned(b.LogDirs)
	g.roles()
	g.listeners(b)
	g.access()
	if b.Pinion.Cores() && b.Pinion.Shards > 0 {
		g.problems = append(g.problems, b.coreProblems(b.Pinion.Shards)...)
	}
	if int64(b.SocketRequestBytesMax) > b.Pinion.RequestBytes {
		g.conflict("pinion.memory.request.bytes", fmt.Sprintf("pinion.memory.request.bytes = %d is less than socket.request.max.bytes = %d: "+
			"the largest request could never be read", b.Pinion.RequestBytes, b.SocketRequestBytesMax))
	}
	b.topic = g.topicDefaults(b)
	return b
}

// conflict reports a mistake about a key, at the place it was set.
func (g *gatherer) conflict(key, text string) { g.problem(g.settings[key].Where, key, text) }

func (g *gatherer) isSet(key string) bool { _, ok := g.settings[key]; return ok }

// text is a key's value or default.
func (g *gatherer) text(key string) string {
	if set, ok := g.settings[key]; ok {
		return set.Value
	}
	row := brokerKeys().byName[key]
	if row == nil {
		must.Failf("keys.table lacks %s", key)
	}
	return row.Default
}

func (g *gatherer) list(key string) []string { return splitList(g.text(key)) }
func (g *gatherer) flag(key string) bool     { return g.text(key) == "true" }
func (g *gatherer) int32(key string) int32   { return int32(g.number(key)) }

func (g *gatherer) number(key string) int64 {
	n, err := strconv.ParseInt(g.text(key), 10, 64)
	if err != nil {
		must.Failf("%s passed as a number but is not: %v", key, err)
	}
	return n
}

// duration reads a key in milliseconds.
func (g *gatherer) duration(key string) time.Duration { return g.durationIn(key, time.Millisecond) }

// durationIn reads a key that counts a unit; what no time.Duration can hold becomes the longest.
func (g *gatherer) durationIn(key string, unit time.Duration) time.Duration {
	return time.Duration(min(g.number(key), math.MaxInt64/int64(unit))) * unit
}

// nodeID reads node.id, or broker.id as it was called before KRaft. Kafka's default for the latter, -1, means unset.
func (g *gatherer) nodeID() model.NodeID {
	id := g.number("node.id")
	if old, ok := g.settings["broker.id"]; ok && old.Value != "-1" {
		n := g.number("broker.id")
		if g.isSet("node.id") && n != id {
			g.conflict("broker.id", fmt.Sprintf("broker.id = %d and node.id = %d differ; they are the same setting", n, id))
		}
		id = n
	}
	return model.NodeID(id)
}

// cordoned reads which log directories take no new partitions: some of them by their paths, or * for all.
func (g *gatherer) cordoned(dirs []string) []string {
	const key = "cordoned.log.dirs"
	named := g.list(key)
	if slices.Contains(named, "*") {
		if len(named) > 1 {
			g.conflict(key, "cordoned.log.dirs: when it is set to *, it must not contain other values")
		}
		return dirs
	}
	for _, path := range named {
		if !slices.Contains(dirs, path) {
			g.conflict(key, fmt.Sprintf("Invalid entry in cordoned.log.dirs: %s. All cordoned log dirs must be entries of log.dirs or log.dir.", path))
		}
	}
	return named
}

// relocateRate is how many bytes of logs go to other log directories in a second. Kafka's 0 lets none through for ever; here it is the slowest there is.
func (g *gatherer) relocateRate() float64 {
	const key = "replica.alter.log.dirs.io.max.bytes.per.second"
	if !g.isSet(key) {
		return math.MaxInt64
	}
	return max(float64(g.number(key)), 1)
}

// cleaner reads log.cleaner.*. What makes no sense was let in by Kafka's own bounds, and gets the nearest that does.
func (g *gatherer) cleaner() Cleaner {
	return Cleaner{
		Enabled:        g.flag("log.cleaner.enable"),
		Threads:        g.int32("log.cleaner.threads"),
		KeyBytes:       max(g.number("log.cleaner.dedupe.buffer.size"), 1<<10),
		Load:           min(max(g.float("log.cleaner.io.buffer.load.factor"), 0.1), 1),
		IOBytes:        g.number("log.cleaner.io.buffer.size"),
		BytesPerSecond: max(g.float("log.cleaner.io.max.bytes.per.second"), 1),
		Backoff:        max(g.duration("log.cleaner.backoff.ms"), time.Millisecond),
	}
}

// groups reads what concerns consumer groups.
func (g *gatherer) groups() Groups {
	return Groups{
		SessionMin:        g.duration("group.min.session.timeout.ms"),
		SessionMax:        g.duration("group.max.session.timeout.ms"),
		InitialDelay:      max(g.duration("group.initial.rebalance.delay.ms"), 0),
		SizeMax:           g.int32("group.max.size"),
		MetadataMax:       g.int32("offset.metadata.max.bytes"),
		Retention:         g.durationIn("offsets.retention.minutes", time.Minute),
		RetentionCheck:    g.duration("offsets.retention.check.interval.ms"),
		Partitions:        g.int32("offsets.topic.num.partitions"),
		ReplicationFactor: int16(g.number("offsets.topic.replication.factor")),
		SegmentBytes:      g.int32("offsets.topic.segment.bytes"),
	}
}

func (g *gatherer) float(key string) float64 {
	n, err := strconv.ParseFloat(g.text(key), 64)
	if err != nil {
		must.Failf("%s passed as a number but is not: %v", key, err)
	}
	return n
}

func (g *gatherer) logDirs() []string {
	key := "log.dirs"
	if !g.isSet(key) && g.isSet("log.dir") {
		key = "log.dir"
	}
	dirs := g.list(key)
	if len(dirs) == 0 || contains(dirs, "") {
		g.conflict(key, key+" names no directory")
		return []string{brokerKeys().byName["log.dirs"].Default}
	}
	return dirs
}

func (g *gatherer) pinion() Pinion {
	p := Pinion{
		Shards:        int(g.number("pinion.shards")),
		Advertise:     g.text("pinion.advertise"),
		Admin:         g.text("pinion.admin"),
		Durability:    durabilityOf(g.text("pinion.durability")),
		DiskReserve:   g.number("pinion.disk.reserve"),
		RequestBytes:  g.number("pinion.memory.request.bytes"),
		ResponseBytes: g.number("pinion.memory.response.bytes"),
		ParkedBytes:   g.number("pinion.memory.parked.bytes"),
	}
	if p.Admin != "" && !validAddress(p.Admin) {
		g.conflict("pinion.admin", fmt.Sprintf("pinion.admin = %q: want host:port, or nothing to turn it off; default 127.0.0.1:9644", p.Admin))
	}
	return p
}

func validAddress(address string) bool {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// overridesPerIP reads "127.0.0.1:200,host:100"; the limit follows the last colon, so IPv6 addresses need no brackets.
func (g *gatherer) overridesPerIP() map[string]int32 {
	const key = "max.connections.per.ip.overrides"
	limits := map[string]int32{}
	for _, item := range g.list(key) {
		colon := strings.LastIndexByte(item, ':')
		host, limit := item, ""
		if colon >= 0 {
			host, limit = strings.TrimSpace(item[:colon]), strings.TrimSpace(item[colon+1:])
		}
		n, err := strconv.ParseInt(limit, 10, 32)
		if err != nil || n < 0 || host == "" {
			g.conflict(key, fmt.Sprintf("%s: %q is not host:limit, as in 127.0.0.1:200,client.example.net:100", key, item))
			continue
		}
		limits[strings.Trim(host, "[]")] = int32(n)
	}
	return limits
}

// roles accepts what Kafka's files say about process.roles: a pinion node is always broker and controller.
func (g *gatherer) roles() {
	roles := g.list("process.roles")
	for _, role := range roles {
		if role != "broker" && role != "controller" {
			return // reported when it was gathered
		}
	}
	switch {
	case len(roles) == 1 && roles[0] == "controller":
		g.conflict("process.roles", "process.roles = controller: a node without the broker role is not available; every pinion node is both")
	case len(roles) == 1:
		g.notice(g.settings["process.roles"].Where, "process.roles", "process.roles: the node is its own controller as well")
	}
}

// access refuses what would silently drop a protection somebody asked for.
func (g *gatherer) access() {
	if class := g.text("authorizer.class.name"); class != "" {
		g.conflict("authorizer.class.name", fmt.Sprintf("authorizer.class.name = %s: access control is not available yet; remove the key to let every client do everything", class))
	}
}
