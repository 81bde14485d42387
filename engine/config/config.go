// Package config turns Kafka's broker and topic keys into typed values. It owns the one table of keys (keys.table,
// topic.table), the rule by which file, environment and flags override each other, and the text of every complaint about them.
// It refuses to touch anything: it opens no file, reads no environment, applies nothing; who calls it hands in the bytes
// and gets either a complete Broker or every mistake at once.
package config

import (
	"net"
	"strconv"
	"time"

	"pinion/engine/model"
	"pinion/engine/quota"
)

// Broker is the configuration of one node, complete and checked. It is immutable after Load; Live has the one in force.
type Broker struct {
	NodeID model.NodeID // node.id, or broker.id of older files
	Rack   string       // broker.rack; empty: none

	// Listeners are the addresses to bind, in file order; Advertised what Metadata tells clients, matched to Listeners by
	// Name. An empty Host in Listeners binds every address; an empty Host in Advertised means "the address the client
	// connected to", which is what a wildcard listener without advertised.listeners gets. Port 0 in Listeners lets the
	// kernel choose; the advertised port is then 0 too, and stands for the port chosen.
	Listeners           []Listener
	Advertised          []Listener
	InterBrokerListener string // name of one of Listeners

	LogDirs     []string // log.dirs, else log.dir; at least one
	MetadataDir string   // metadata.log.dir; empty: the first of LogDirs
	Cordoned    []string // cordoned.log.dirs: those of LogDirs that take no new partitions
	Pinion      Pinion   // pinion.* keys

	AutoCreateTopics         bool
	DeleteTopics             bool // delete.topic.enable
	NumPartitions            int32
	DefaultReplicationFactor int16

	SocketSendBufferBytes    int32 // -1: the kernel's default
	SocketReceiveBufferBytes int32 // -1: the kernel's default
	SocketRequestBytesMax    int32 // largest frame of a Produce request
	SocketBacklog            int32
	ConnectionsIdleMax       time.Duration // negative: never closed for idleness
	ConnectionsMax           int32
	ConnectionsRateMax       int32 // max.connection.creation.rate: accepted in a second
	ConnectionsPerIPMax      int32
	ConnectionsPerIP         map[string]int32 // max.connections.per.ip.overrides: address or host name to limit

	FetchBytesMax         int32 // fetch.max.bytes; upper bound of one Fetch response, first batch aside
	FetchSessionSlots     int32
	DescribePartitionsMax int32 // max.request.partition.size.limit, DescribeTopicPartitions (key 75)
	ProducerIDExpiration  time.Duration
	ProducerIDCheck       time.Duration // how often expiry is looked for
	RetentionCheck        time.Duration // log.retention.check.interval.ms
	RecoveryPointInterval time.Duration // log.flush.offset.checkpoint.interval.ms
	RecoveryThreads       int32         // num.recovery.threads.per.data.dir

	RelocateBytesPerSecond float64 // replica.alter.log.dirs.io.max.bytes.per.second: of all logs together that go to other log directories

	Cleaner Cleaner
	Groups  Groups
	Quotas  quota.Pace

	settings map[string]Setting // what was set, by key
	static   *Broker            // the configuration without dynamic settings; nil when there are none
	common   map[string]string  // dynamic settings of the cluster, as they were stored
	own      map[string]string  // dynamic settings of this broker
	topic    Topic              // what a topic without overrides gets
}

// Cleaner is what log.cleaner.* says of compaction as a whole; topics have the rest.
type Cleaner struct {
	Enabled        bool
	Threads        int32         // passes at a time, on the node
	KeyBytes       int64         // log.cleaner.dedupe.buffer.size: memory for keys, of all passes together
	Load           float64       // log.cleaner.io.buffer.load.factor: how full a table of keys gets
	IOBytes        int64         // log.cleaner.io.buffer.size: what is read at once, of all passes together, twice
	BytesPerSecond float64       // read and written, of all passes together
	Backoff        time.Duration // between two looks for something to do
}

// Groups is what group.* and offsets.* say of consumer groups.
type Groups struct {
	SessionMin, SessionMax time.Duration // group.min.session.timeout.ms and max: what a member may ask for
	InitialDelay           time.Duration // group.initial.rebalance.delay.ms
	SizeMax                int32         // group.max.size
	MetadataMax            int32         // offset.metadata.max.bytes: of a commit's own words, in characters
	Retention              time.Duration // offsets.retention.minutes
	RetentionCheck         time.Duration // offsets.retention.check.interval.ms

	// What __consumer_offsets is created with.
	Partitions        int32
	ReplicationFactor int16
	SegmentBytes      int32
}

// Pinion holds the keys Kafka does not have.
type Pinion struct {
	Shards        int    // 0: one per usable CPU
	Advertise     string // whom clients see as brokers: "node" or "core"; see Cores
	Admin         string // host:port of the admin server; empty: off
	Durability    Durability
	DiskReserve   int64 // bytes of the file system that produced records may not take
	RequestBytes  int64 // per shard: bodies of requests being read or handled
	ResponseBytes int64 // per shard: response bytes not yet handed to the kernel
	ParkedBytes   int64 // per shard: requests that wait (acknowledgements, long polls)
}

// Listener is one named endpoint.
type Listener struct {
	Name     string // upper case, such as PLAINTEXT
	Protocol string // security protocol; only PLAINTEXT for now
	Host     string // without brackets for IPv6; empty: see Broker
	Port     int32  // 0..65535
}

// Address is host:port, as net.Listen and humans take it.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))) }

// String is Kafka's form, NAME://host:port.
func (l Listener) String() string { return l.Name + "://" + l.Address() }

// Durability says when an acks=all acknowledgement may be sent.
type Durability uint8

const (
	// DurabilityMemory acknowledges what is in the page cache of the in-sync replicas, as Kafka does.
	DurabilityMemory Durability = iota
	// DurabilityFsync acknowledges what is fdatasynced on min.insync.replicas replicas. It is the default.
	DurabilityFsync
)

// durabilityOf reads a checked value.
func durabilityOf(value string) Durability {
	if value == DurabilityFsync.String() {
		return DurabilityFsync
	}
	return DurabilityMemory
}

func (d Durability) String() string {
	if d == DurabilityFsync {
		return "fsync"
	}
	return "memory"
}
