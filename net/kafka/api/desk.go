package api

import (
	"log/slog"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
	"pinion/engine/clock"
	"pinion/engine/config"
	"pinion/engine/control"
	"pinion/engine/coordinator"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/quota"
	"pinion/engine/shard"
	"pinion/engine/slab"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// Node is what the desks of a node share. Immutable once the first desk exists.
type Node struct {
	ID      model.NodeID
	Naming  placement.Naming // whom clients see as brokers
	Broker  *config.Live
	Control *control.Control
	Sets    []*partition.Set // by shard
	// Directories are the log directories.
	Directories *logdir.List
	// Coordinators are the groups, by shard.
	Coordinators []*coordinator.Set
	Book         *quota.Book
	Log          *slog.Logger

	press *press // made with the first desk
}

// Desk serves the requests of one home shard's connections.
type Desk struct {
	own shard.Owner

	// Immutable after NewDesk.
	node  *Node
	shard *shard.Shard
	home  model.ShardID

	// Owned by the shard.
	view         wire.ProduceView
	fetch        wire.FetchView
	validator    batch.Validator
	recoder      batch.Recoder
	topics       topicCache
	produces     *produceCall // free lists
	producesKept int          // parts of the calls in that list
	fetches      *fetchCall
	legs         *fetchLeg
	cuts         []fetchCut                             // of the response being written
	parked       slab.Budget                            // long polls and their partitions
	defaults     []kmsg.CreateTopicsResponseTopicConfig // of a topic without configuration of its own; made when first asked for
	defaultsOf   *config.Broker                         // whose they are
	sessions     sessions
	began        clock.Mono // of the request being served, where its time counts; 0 once that is counted
	stats        Stats
}

// Stats are a desk's counters.
type Stats struct {
	Errors map[wire.ErrorCode]uint64 // by code, of partitions and of whole requests
	// Partitions of Produce and Fetch requests answered, and those of them with an error; batches that validation refused, and all
	// their bytes; polls that wait now.
	Produced, ProduceFailed uint64
	Fetched, FetchFailed    uint64
	Invalid, BytesRejected  uint64
	Polls                   int
	Parked                  slab.Budget
	Sessions                int
	// Partitions of Metadata that the shard encoded itself, and sheets that helpers printed for the whole node.
	MetadataPartitions, Sheets uint64
}

// NewDesk makes the desk of the shard that runs the turn.
func NewDesk(t *shard.Turn, s *shard.Shard, node *Node) *Desk {
	d := &Desk{own: shard.Own(t), node: node, shard: s, home: t.Shard(), topics: topicCache{}}
	if node.press == nil {
		node.press = newPress(t)
	}
	broker := node.Broker.Now()
	d.parked.Limit = broker.Pinion.ParkedBytes
	d.stats.Errors = make(map[wire.ErrorCode]uint64)
	d.sessions.init(int(broker.FetchSessionSlots)/max(1, len(node.Sets)), sessionBytesMax, t.Shard(), len(node.Sets))
	return d
}

// Handle serves one request, or closes its connection.
func (d *Desk) Handle(t *shard.Turn, r *conn.Request) {
	d.own.Check(t)
	api := wire.Lookup(r.Key)
	if !api.Serves(r.Version) && r.Key != wire.KeyAPIVersions {
		// Kafka closes the connection on a version it does not serve.
		d.node.Log.Info("connection closed: version not served", "peer", r.Conn().Peer(), "api", api.Name, "version", r.Version)
		r.Close(t)
		return
	}
	if q := d.image().Quotas(); q != nil {
		d.metered(t, r, q, (*Desk).serve)
		return
	}
	d.serve(t, r)
}

func (d *Desk) serve(t *shard.Turn, r *conn.Request) {
	switch r.Key {
	case wire.KeyProduce:
		d.produce(t, r)
	case wire.KeyFetch:
		d.fetchRequest(t, r)
	case wire.KeyHeartbeat:
		if !d.heartbeatAgain(t, r) {
			d.cold(t, r, wire.Lookup(r.Key))
		}
	default:
		d.cold(t, r, wire.Lookup(r.Key))
	}
}

// Generation moves when any partition changes its shard: requests in flight before must not be overtaken by later ones.
func (d *Desk) Generation() uint64 { return d.image().Moves() }

// Admit gives a new connection its state.
func (d *Desk) Admit(*shard.Turn, *conn.Conn) conn.Attachment { return &client{} }

// Stats copies the counters.
func (d *Desk) Stats(t *shard.Turn) Stats {
	d.own.Check(t)
	st := d.stats
	st.Errors, st.Parked, st.Sessions = make(map[wire.ErrorCode]uint64, len(d.stats.Errors)), d.parked, len(d.sessions.byID)
	for code, n := range d.stats.Errors {
		st.Errors[code] = n
	}
	st.Sheets = d.node.press.printed.Load()
	return st
}

func (d *Desk) image() *placement.Image { return d.node.Control.Image() }

// count notes an error a client is told.
func (d *Desk) count(code wire.ErrorCode) {
	if code != wire.CodeNone {
		d.stats.Errors[code]++
	}
}

// config resolves a topic's configuration.
func (d *Desk) config(topic *placement.Topic) *config.Topic {
	broker := d.node.Broker.Now()
	if e := d.topics[topic.ID]; e != nil && e.topic == topic && e.broker == broker {
		return &e.config
	}
	e := &topicEntry{topic, broker, broker.Stored(topic.Configs)}
	d.topics.put(e, d.image())
	return &e.config
}

// locate finds who owns a partition: its set and shard, or the code a client gets.
func (d *Desk) locate(topic *placement.Topic, index int32) (*partition.Set, model.ShardID, partition.Code) {
	place := topic.Partition(index)
	if place == nil {
		return nil, 0, partition.UnknownPartition
	}
	if place.Leader != d.node.ID {
		return nil, 0, partition.NotLeader
	}
	owner := place.ShardOn(d.node.ID)
	if owner < 0 || int(owner) >= len(d.node.Sets) {
		return nil, 0, partition.NotLeader
	}
	return d.node.Sets[owner], owner, partition.OK
}

// reach is locate for a request that just came: a core's own port serves what that core leads and nothing else, as a broker of its own
// would. The client then learns who leads; passing its requests on would leave it with what it believes.
func (d *Desk) reach(r *conn.Request, topic *placement.Topic, index int32) (*partition.Set, model.ShardID, partition.Code) {
	set, owner, code := d.locate(topic, index)
	if code == partition.OK && d.elsewhere(r, owner) {
		return nil, 0, partition.NotLeader
	}
	return set, owner, code
}

// elsewhere reports that a request came to the port of another core than the owner.
func (d *Desk) elsewhere(r *conn.Request, owner model.ShardID) bool {
	return owner != d.home && r.AtCore()
}

// self is the broker that clients see here.
func (d *Desk) self() int32 { return int32(d.node.Naming.Broker(d.node.ID, d.home)) }
