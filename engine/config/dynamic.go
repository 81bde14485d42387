package config

import (
	"sort"
	"strings"
	"sync"
	"sync/atomic"
)

// A broker's settings can change while it runs (KIP-226): the catalogue holds a set for every broker and one for the whole cluster. A
// broker's own wins over the cluster's, both win over what the node was started with, and a topic's overrides win over all.

// Live is the configuration in force: a snapshot that the controller replaces and anyone reads. A later one wins.
type Live struct {
	static *Broker
	now    atomic.Pointer[Broker] // orders everything the snapshot contains with its readers
}

// NewLive starts with what the node was started with.
func NewLive(static *Broker) *Live {
	l := &Live{static: static}
	l.now.Store(static)
	return l
}

// Now is the newest configuration. Callable anywhere.
func (l *Live) Now() *Broker { return l.now.Load() }

// Apply puts the stored dynamic settings in force. When they do not fit what the node was started with, which only another file or
// another build can bring about, they are left out as a whole and the error says why.
func (l *Live) Apply(common, own map[string]string) error {
	next, err := l.static.with(common, own)
	if err != nil {
		l.now.Store(l.static)
		return err
	}
	l.now.Store(next)
	return nil
}

// InvalidBroker is a dynamic setting that Kafka would refuse with INVALID_REQUEST (42), in Kafka's words where Kafka has some.
type InvalidBroker struct{ Text string }

func (e *InvalidBroker) Error() string { return e.Text }

// CheckDynamic says whether a complete set of dynamic settings could be stored: for this broker when own is true, for the whole cluster
// otherwise. The error is an *InvalidBroker.
func (b *Broker) CheckDynamic(values map[string]string, own bool) error {
	static := b
	if b.static != nil {
		static = b.static
	}
	var fixed []string
	for _, name := range sortedKeys(values) {
		if key, known := LookupBroker(name); known && !key.Dynamic() {
			fixed = append(fixed, name)
		}
	}
	if len(fixed) > 0 {
		return &InvalidBroker{"Cannot update these configs dynamically: [" + strings.Join(fixed, ", ") + "]"}
	}
	for _, name := range sortedKeys(values) {
		key, known := LookupBroker(name)
		if !known {
			continue // Kafka keeps what its plugins may know
		}
		if why := key.refuseDynamic(strings.TrimSpace(values[name])); why != "" {
			return &InvalidBroker{"Invalid value " + values[name] + " for configuration " + name + ": " + why}
		}
	}
	var err error
	if own {
		_, err = static.with(b.common, values)
	} else {
		_, err = static.with(values, b.own)
	}
	if err != nil {
		return &InvalidBroker{err.Error()}
	}
	return nil
}

// refuseDynamic is refuse for a broker's key: lists whose items have no fixed names may hold anything.
func (k *Key) refuseDynamic(value string) string {
	if k.Kind == KindList && k.choices == nil {
		return ""
	}
	return k.refuse(value)
}

// with builds the configuration anew under dynamic settings, so that they are held to the same rules as a file's.
func (b *Broker) with(common, own map[string]string) (*Broker, error) {
	if len(common) == 0 && len(own) == 0 {
		return b, nil
	}
	g := &gatherer{settings: make(map[string]Setting, len(b.settings)+len(common)+len(own))}
	for name, set := range b.settings {
		g.settings[name] = set
	}
	for _, layer := range []struct {
		values map[string]string
		origin Origin
	}{{common, FromCluster}, {own, FromBroker}} {
		for _, name := range sortedKeys(layer.values) {
			if key, known := LookupBroker(name); known && key.Dynamic() {
				g.add("dynamic configuration", name, layer.values[name], layer.origin)
			}
		}
	}
	next := build(g)
	if len(g.problems) > 0 {
		return nil, g.problems
	}
	next.static, next.common, next.own = b, common, own
	return next, nil
}

// Dynamic reports whether the broker takes the key while it runs. It does so for every key that Kafka does, whether it has an effect here or
// not, except for those that would open listeners or load key stores: nothing follows them yet, and a setting
// that is stored and silently not followed would be worse than a refusal.
func (k *Key) Dynamic() bool { return dynamicKeys()[k.Name] }

var dynamicKeys = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, name := range dynamicOthers {
		names[name] = true
	}
	// The first synonym of each topic key, as in Kafka: log.retention.ms is dynamic, log.retention.hours is not.
	for _, row := range topicKeys().rows {
		if len(row.broker) > 0 {
			names[row.broker[0].name] = true
		}
	}
	return names
})

// dynamicOthers are Kafka's other dynamic keys (org.apache.kafka.server.config.DynamicBrokerConfig).
var dynamicOthers = []string{
	"background.threads",
	"cordoned.log.dirs",
	"follower.fetch.last.tiered.offset.enable",
	"follower.replication.throttled.rate",
	"group.consumer.assignment.interval.ms",
	"group.coordinator.cached.buffer.max.bytes",
	"group.share.assignment.interval.ms",
	"group.streams.assignment.interval.ms",
	"leader.replication.throttled.rate",
	"log.cleaner.backoff.ms",
	"log.cleaner.dedupe.buffer.size",
	"log.cleaner.io.buffer.load.factor",
	"log.cleaner.io.buffer.size",
	"log.cleaner.io.max.bytes.per.second",
	"log.cleaner.threads",
	"max.connection.creation.rate",
	"max.connections",
	"max.connections.per.ip",
	"max.connections.per.ip.overrides",
	"message.max.bytes",
	"metric.reporters",
	"num.io.threads",
	"num.network.threads",
	"num.recovery.threads.per.data.dir",
	"num.replica.fetchers",
	"producer.id.expiration.ms",
	"remote.fetch.max.wait.ms",
	"remote.list.offsets.request.timeout.ms",
	"remote.log.index.file.cache.total.size.bytes",
	"remote.log.manager.copier.thread.pool.size",
	"remote.log.manager.copy.max.bytes.per.second",
	"remote.log.manager.expiration.thread.pool.size",
	"remote.log.manager.fetch.max.bytes.per.second",
	"remote.log.manager.follower.thread.pool.size",
	"remote.log.reader.threads",
	"replica.alter.log.dirs.io.max.bytes.per.second",
	"share.coordinator.cached.buffer.max.bytes",
	"transaction.partition.verification.enable",
}

// unionOfKeys is the names of several sets in order, each once.
func unionOfKeys(sets ...map[string]string) []string {
	seen := map[string]bool{}
	var names []string
	for _, set := range sets {
		for name := range set {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	sort.Strings(names)
	return names
}
