package api

import (
	"fmt"
	"time"

	"pinion/disk/batch"
	"pinion/disk/codec"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/must"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/quota"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// Produce (key 0) appends one record batch to each of some partitions. acks=0 is never answered, and an error closes the
// connection, because the client learns of it in no other way; acks=1 is answered when the leader has written, acks=all when the
// high watermark has passed. Version 3 is the first with record batches (0-2 are advertised for the sake of old librdkafka,
// KAFKA-18659, and closed upon); 5 adds the log start offset, 8 record errors (KIP-467), 9 is flexible, 10 adds leader hints
// (KIP-951), 13 names topics by id.

// produceCall is one Produce request on its home shard.
type produceCall struct {
	desk    *Desk
	request *conn.Request
	version int16
	corr    int32
	acks    partition.Acks
	topics  []produceTopic
	parts   []producePart
	left    int // parts not yet answered
	loans   int // batches that lie in the request's body and are still needed
	failed  bool
	// throttle is how long the client is to wait, in milliseconds.
	throttle int32
	slow     slowJob
	next     *produceCall
}

// produceTopic is one topic of the request; parts[from:to] are its partitions.
type produceTopic struct {
	name     string
	id       model.TopicID
	from, to int
}

// producePart is one partition of the request: its ask and, when the desk refused it, its answer.
type producePart struct {
	call    *produceCall
	ask     partition.AppendAsk
	index   int32
	code    wire.ErrorCode
	message string
	records []wire.RecordError
	limits  batch.Limits
	config  config.TimestampType
	keep    codec.Codec // what the topic stores records with
	level   int         // of that codec
	lent    bool        // the ask's batch lies in the request's body
	waits   bool        // for a helper's validation
}

const (
	// producePartsMax bounds, topics included, what one request may make us allocate: a batch has at least 61 bytes, an entry here a few hundred.
	producePartsMax = 100_000
	// keepParts is how large a call may be kept for reuse, keepPartsAll how many parts all kept calls of a desk may have.
	keepParts    = 4096
	keepPartsAll = 16 << 10
	// oweParts is the number of parts from which a call is charged to the shard's response memory: producePartBytes for each, their place
	// in the answer included.
	oweParts         = 64
	producePartBytes = 512
	// inflateMax caps what a client's batch may decompress to, whatever its topic allows.
	inflateMax = 16 << 20
)

func (d *Desk) produce(t *shard.Turn, r *conn.Request) {
	v := &d.view
	err := v.Reset(r.Version, r.Body)
	parts, topics := 0, 0
	if err == nil {
		parts, topics, err = v.Check()
	}
	if err != nil || parts+topics > producePartsMax {
		d.malformed(t, r, err)
		return
	}
	if n := parts + topics; n >= oweParts {
		r.Owe(n * producePartBytes)
	}
	c := d.takeProduce(parts, topics)
	c.request, c.version, c.corr = r, r.Version, r.Correlation
	c.acks = partition.AcksLeader // nonsense is answered, and what is answered names the error
	if v.Acks >= -1 && v.Acks <= 1 {
		c.acks = partition.Acks(v.Acks)
	}
	image := d.image()
	c.left = 1 // our own hand on the call until every part is begun
	for v.NextTopic() {
		d.produceTopic(t, c, v, image)
	}
	if c.slow.waiting {
		// Order: nothing later of this connection may be appended before what the helper still looks at.
		r.Stall()
		t.HelpBulk(&c.slow)
		return
	}
	c.answered(t)
}

// produceTopic begins every partition of the view's current topic.
func (d *Desk) produceTopic(t *shard.Turn, c *produceCall, v *wire.ProduceView, image *placement.Image) {
	var topic *placement.Topic
	entry := produceTopic{id: v.TopicID(), from: len(c.parts)}
	if c.version >= 13 {
		topic = image.TopicByID(entry.id)
	} else {
		topic = image.TopicNamed(v.TopicName())
	}
	if topic != nil {
		entry.name = topic.Name
	} else {
		entry.name = string(v.TopicName())
	}
	code := d.produceRefusal(c, v, topic)
	for v.NextPartition() {
		c.parts = append(c.parts, producePart{call: c, index: v.Index(), code: code})
		p := &c.parts[len(c.parts)-1]
		if code == wire.CodeNone {
			d.produceBegin(t, c, p, topic, v.Records())
		}
	}
	entry.to = len(c.parts)
	if entry.to == entry.from {
		return // Kafka's answer has partitions, and their topics for their sake
	}
	c.topics = append(c.topics, entry)
}

// produceRefusal is the code for every partition of a topic, before any batch is looked at.
func (d *Desk) produceRefusal(c *produceCall, v *wire.ProduceView, topic *placement.Topic) wire.ErrorCode {
	switch {
	case v.Acks < -1 || v.Acks > 1:
		return wire.CodeInvalidRequiredAcks
	case v.TransactionalID != nil:
		return wire.CodeTransactionalIDAuthorizationFailed
	case topic == nil:
		return byID(wire.CodeUnknownTopicOrPartition, c.version >= 13)
	case !d.allowed(c.request, opWrite, onTopic, topic.Name):
		return wire.CodeTopicAuthorizationFailed
	case topic.Internal:
		return wire.CodeInvalidTopicException // what is in it would be taken for the broker's own
	}
	return wire.CodeNone
}

// produceBegin validates one batch and sends it to its owner, or leaves it to a helper.
func (d *Desk) produceBegin(t *shard.Turn, c *produceCall, p *producePart, topic *placement.Topic, records []byte) {
	place := topic.Partition(p.index)
	if place == nil {
		p.code = wire.CodeUnknownTopicOrPartition // of a topic that is known, so by id as well
		return
	}
	p.ask.Partition = model.Partition{Topic: topic.ID, Index: p.index}
	if d.elsewhere(c.request, place.ShardOn(d.node.ID)) {
		p.code = wire.CodeNotLeaderOrFollower
		return
	}
	cfg := d.config(topic)
	p.config = cfg.TimestampType
	p.limits = batch.Limits{
		MaxBatchBytes:      int(cfg.MaxMessageBytes),
		OutputMax:          batch.InlineOutputMax,
		KeyRequired:        cfg.CleanupCompact,
		CreateTime:         cfg.TimestampType == config.TimestampCreate,
		TimestampBeforeMax: cfg.TimestampBeforeMaxMs,
		TimestampAfterMax:  cfg.TimestampAfterMaxMs,
		NowMs:              int64(t.Now().Wall),
	}
	a := &p.ask
	a.Home, a.Caller, a.Acks = t.Shard(), p, c.acks
	a.Timeout = time.Duration(d.view.TimeoutMs) * time.Millisecond
	a.Batch = records
	// Compressing takes longer than a shard may.
	recodes := d.keeps(p, cfg, records)
	if !batch.Slow(records) && !recodes {
		verdict := batch.Validate(&d.validator, records, p.limits)
		if verdict.Fault != batch.FaultInflated {
			if d.accept(p, &verdict, &d.validator, &d.recoder) {
				c.left++
				c.lend(p)
				c.post(t, p)
			} else {
				d.invalid(p)
			}
			return
		}
	}
	p.limits.OutputMax = max(inflateMax, 8*int(cfg.MaxMessageBytes))
	p.waits = true
	c.left++
	c.lend(p)
	c.slow.waiting = true
}

// keeps finds out which codec the topic stores a batch with (compression.type), and whether that is another than the producer's.
func (d *Desk) keeps(p *producePart, cfg *config.Topic, records []byte) bool {
	header, ok := batch.ReadHeader(records)
	if !ok {
		return false
	}
	p.keep = header.Codec()
	if kept, named := codec.Parse(cfg.CompressionType); named {
		p.keep = kept
	}
	switch p.keep {
	case codec.Gzip:
		p.level = int(cfg.CompressionGzipLevel)
	case codec.LZ4:
		p.level = int(cfg.CompressionLZ4Level)
	case codec.Zstd:
		p.level = int(cfg.CompressionZstdLevel)
	}
	return p.keep != header.Codec()
}

// invalid counts a batch that was refused before it was asked for.
func (d *Desk) invalid(p *producePart) {
	d.stats.Invalid++
	d.stats.BytesRejected += uint64(len(p.ask.Batch))
}

// accept takes a verdict: the batch becomes the ask's, mended where Kafka mends, or the part gets its error.
func (d *Desk) accept(p *producePart, v *batch.Verdict, validator *batch.Validator, recoder *batch.Recoder) bool {
	a := &p.ask
	if sent, ok := batch.ReadHeader(a.Batch); ok && sent.Magic == batch.Magic && sent.Codec() == codec.Zstd && p.call.version < 7 {
		p.code, p.message = wire.CodeUnsupportedCompressionType, "zstd needs Produce version 7 (KIP-110)"
		return false
	}
	if v.Fault != batch.FaultNone {
		p.code, p.message = batchError(v.Fault), refusalText(v, &p.limits)
		for _, f := range validator.RecordFaults() {
			p.records = append(p.records, wire.RecordError{Index: f.Index, Message: f.Fault.String()})
		}
		return false
	}
	if v.Header.IsTransactional() {
		// Kafka's answer to transactional records without a transactional id; with one the request got here no further.
		p.code = wire.CodeTransactionalIDAuthorizationFailed
		return false
	}
	if v.Rewrite || v.Header.Codec() != p.keep {
		fresh, err := recoder.Append(nil, a.Batch, p.keep, p.level, p.limits.OutputMax)
		switch {
		case err != nil:
			p.code, p.message = wire.CodeInvalidRecord, err.Error()
			return false
		case len(fresh) > p.limits.MaxBatchBytes:
			p.code, p.message = wire.CodeMessageTooLarge, "the batch is larger than max.message.bytes of the topic as it would be stored"
			return false
		}
		a.Batch = fresh
		v.Header, _ = batch.ReadHeader(fresh)
	}
	a.AppendTime = -1
	switch {
	case p.config == config.TimestampAppend:
		a.AppendTime = 0 // the owner stamps its own time
	case v.Restamp:
		batch.StampMaxTimestamp(a.Batch, v.MaxTimestamp)
		v.Header, _ = batch.ReadHeader(a.Batch)
	}
	a.Header = v.Header
	return true
}

// refusalText tells a client what was wrong in words (Produce v8+, KIP-467).
func refusalText(v *batch.Verdict, lim *batch.Limits) string {
	switch v.Fault {
	case batch.FaultTooLarge:
		return fmt.Sprintf("the batch of %d bytes is larger than max.message.bytes of the topic (%d)", v.Header.Size(), lim.MaxBatchBytes)
	case batch.FaultInflated:
		return fmt.Sprintf("the batch decompresses to more than %d bytes", lim.OutputMax)
	}
	if v.Record >= 0 {
		return fmt.Sprintf("record %d: %s", v.Record, v.Fault)
	}
	return v.Fault.String()
}

func (c *produceCall) lend(p *producePart) {
	p.lent = true
	c.loans++
}

// post sends a part's ask to the shard that owns the partition by the connection's image. At a core's port this may be another core for an
// ask that a moving partition turned away: to pass it on keeps it in its place, and the client hears of the move with its next request.
func (c *produceCall) post(t *shard.Turn, p *producePart) {
	d := c.desk
	image := c.client().routing(d.image(), p.ask.Partition)
	topic := image.TopicByID(p.ask.Partition.Topic)
	code := partition.UnknownPartition
	if topic != nil {
		var set *partition.Set
		var owner model.ShardID
		if set, owner, code = d.locate(topic, p.index); code == partition.OK {
			c.client().out++
			t.Expect(1)
			p.ask.To, p.ask.Moves = set, image.Moves()
			c.request.Conn().Asking(t, owner)
			t.Ask(owner, &p.ask)
			return
		}
	}
	p.finish(t, code)
}

func (c *produceCall) client() *client { return c.request.Conn().Attachment().(*client) }

// Stored takes the batch back while the acknowledgement is still out.
func (p *producePart) Stored(t *shard.Turn, _ *partition.AppendAsk) { p.unlend(t) }

// Appended takes the ask home.
func (p *producePart) Appended(t *shard.Turn, a *partition.AppendAsk) {
	t.Expect(-1)
	owner := p.call.client()
	if a.Code == partition.Moved {
		owner.turnedAway(p)
		owner.home(t)
		return
	}
	owner.home(t)
	p.finish(t, a.Code)
}

func (p *producePart) finish(t *shard.Turn, code partition.Code) {
	p.code = byID(partitionError(code), p.call.version >= 13)
	p.unlend(t)
	p.call.answered(t)
}

// unlend ends the loan of a batch; the last one frees the request's body, even while acknowledgements are parked.
func (p *producePart) unlend(t *shard.Turn) {
	if !p.lent {
		return
	}
	p.lent = false
	p.ask.Batch = nil
	c := p.call
	if c.loans--; c.loans == 0 && c.left > 0 {
		c.request.FreeBody(t)
	}
}

// answered counts one part; the last one ends the request.
func (c *produceCall) answered(t *shard.Turn) {
	c.left--
	if c.left > 0 {
		return
	}
	if c.left < 0 {
		must.Failf("produce answered more often than asked")
	}
	d := c.desk
	d.stats.Produced += uint64(len(c.parts))
	for i := range c.parts {
		if c.parts[i].code != wire.CodeNone {
			c.failed = true
			d.stats.ProduceFailed++
			d.count(c.parts[i].code)
		}
	}
	r := c.request
	c.throttle = milliseconds(d.spend(t, r, quota.Produce, int64(r.Size())))
	if c.acks != partition.AcksNone {
		r.Done(t, c)
		return
	}
	if c.failed {
		d.node.Log.Debug("connection closed: an acks=0 produce failed", "peer", r.Conn().Peer())
		r.Close(t)
	} else {
		r.DoneSilent(t)
	}
	d.freeProduce(c)
}

// slowJob validates on a helper what would hold up the shard.
type slowJob struct {
	shard.Letter
	call    *produceCall
	waiting bool
	good    []bool
}

// Run validates the parts that wait. Only the helper touches them meanwhile.
func (j *slowJob) Run() {
	var validator batch.Validator
	var recoder batch.Recoder
	c := j.call
	j.good = make([]bool, len(c.parts))
	for i := range c.parts {
		if p := &c.parts[i]; p.waits {
			verdict := batch.Validate(&validator, p.ask.Batch, p.limits)
			j.good[i] = c.desk.accept(p, &verdict, &validator, &recoder)
		}
	}
}

// Deliver sends the good ones on their way, back on the home shard.
func (j *slowJob) Deliver(t *shard.Turn) {
	c := j.call
	r := c.request
	j.waiting = false
	for i := range c.parts {
		p := &c.parts[i]
		if !p.waits {
			continue
		}
		p.waits = false
		if j.good[i] {
			c.post(t, p)
			continue
		}
		c.desk.invalid(p)
		p.unlend(t)
		c.answered(t)
	}
	r.Resume(t)
	c.answered(t)
}

// Emit writes the response.
func (c *produceCall) Emit(t *shard.Turn, w *conn.Writer) {
	names := 0
	for i := range c.topics {
		names += len(c.topics[i].name)
	}
	buffer := w.Room(t, wire.ProduceRoom(len(c.topics), names, len(c.parts)))
	var out wire.ProduceWriter
	out.Start(buffer.Bytes, c.version, c.corr, len(c.topics))
	var hinted []model.BrokerID
	for i := range c.topics {
		topic := &c.topics[i]
		out.TopicNamed(topic.name, topic.id, topic.to-topic.from)
		for j := topic.from; j < topic.to; j++ {
			hinted = hint(hinted, c.parts[j].write(&out))
		}
	}
	var nodes []wire.Endpoint
	if len(hinted) > 0 {
		nodes = c.desk.endpoints(c.request, hinted)
	}
	buffer.Bytes = out.Finish(c.throttle, nodes)
	w.Commit(buffer)
	if cap(c.parts) > keepParts {
		// Everything is written. The answer may take long to leave if its reader is slow, and this much must not wait for that.
		c.parts, c.topics = nil, nil
	}
}

// write adds one partition's answer and returns the leader it hints at.
func (p *producePart) write(out *wire.ProduceWriter) wire.LeaderHint {
	result := wire.ProduceResult{Index: p.index, Code: p.code, BaseOffset: -1, AppendTime: -1, LogStart: -1, Message: p.message, Records: p.records}
	if p.code == wire.CodeNone {
		result.BaseOffset, result.AppendTime, result.LogStart = p.ask.Base, p.ask.AppendTime, p.ask.LogStart
	}
	if p.code == wire.CodeNotLeaderOrFollower {
		result.Leader = p.call.desk.leaderHint(p.ask.Partition)
	}
	out.Partition(&result)
	return result.Leader
}

// Sent ends the call.
func (c *produceCall) Sent(*shard.Turn) { c.desk.freeProduce(c) }

// Drop ends the call of a connection that is gone.
func (c *produceCall) Drop(*shard.Turn) { c.desk.freeProduce(c) }

func (d *Desk) takeProduce(parts, topics int) *produceCall {
	c := d.produces
	if c == nil {
		c = &produceCall{desk: d}
		c.slow.call = c
	} else {
		d.produces, c.next = c.next, nil
		d.producesKept -= cap(c.parts)
	}
	// Asks are lent out by address, so the slice must never move once the first is posted.
	if cap(c.parts) < parts {
		c.parts = make([]producePart, 0, parts)
	}
	if cap(c.topics) < topics {
		c.topics = make([]produceTopic, 0, topics)
	}
	return c
}

func (d *Desk) freeProduce(c *produceCall) {
	if cap(c.parts) > keepParts || d.producesKept+cap(c.parts) > keepPartsAll {
		return
	}
	d.producesKept += cap(c.parts)
	clear(c.parts)
	clear(c.topics)
	c.parts, c.topics = c.parts[:0], c.topics[:0]
	c.request, c.failed, c.loans, c.left = nil, false, 0, 0
	c.next, d.produces = d.produces, c
}
