package api

import (
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/device"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DescribeLogDirs (key 35) tells how large this node's replicas are, in which log directory, and how much room each has; clients ask every
// broker and add up. A directory out of service is KAFKA_STORAGE_ERROR and says nothing of what it holds, as in Kafka. A partition that moves to another directory is shown
// there too, with what it has so far. Null means all partitions, and what this node does not have is left out. Version 2 is flexible, 3 adds an error for the whole
// answer, 4 the size of the volume (KIP-827), of which all cores of a node have the same, 5 whether the directory is cordoned (KIP-1066).

// logDirsCall is one DescribeLogDirs request on its home shard.
type logDirsCall struct {
	shard.Letter
	desk    *Desk
	request *conn.Request
	asks    []*partition.SizesAsk // by owner; nil where the request needs none
	places  []sizedPlace
	left    int
	resp    *kmsg.DescribeLogDirsResponse
}

// sizedPlace is one partition of the answer, in order of topic and index.
type sizedPlace struct {
	topic     *placement.Topic
	owner     model.ShardID
	at        int // place in that owner's ask
	directory *logdir.Directory
}

func (d *Desk) describeLogDirs(t *shard.Turn, r *conn.Request, req *kmsg.DescribeLogDirsRequest) {
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	r.FreeBody(t)
	if !d.allowed(r, opDescribe, onCluster, "") {
		resp.ErrorCode = int16(wire.CodeClusterAuthorizationFailed)
		d.count(wire.CodeClusterAuthorizationFailed)
		d.answer(t, r, resp)
		return
	}
	c := &logDirsCall{desk: d, request: r, resp: resp, asks: make([]*partition.SizesAsk, len(d.node.Sets)), left: 1}
	image := d.image()
	if req.Topics == nil {
		image.Topics(func(topic *placement.Topic) bool {
			for i := range topic.Partitions() {
				c.add(topic, i)
			}
			return true
		})
	}
	seen := map[model.Partition]bool{} // the answer has each partition once
	for i := range req.Topics {
		topic := image.TopicCalled(req.Topics[i].Topic)
		for _, index := range req.Topics[i].Partitions {
			if topic == nil || topic.Partition(index) == nil || seen[model.Partition{Topic: topic.ID, Index: index}] {
				continue
			}
			seen[model.Partition{Topic: topic.ID, Index: index}] = true
			c.add(topic, index)
		}
	}
	for owner, ask := range c.asks {
		if ask != nil {
			ask.Home, ask.To, ask.Caller = t.Shard(), d.node.Sets[owner], c
			c.left++
			t.Expect(1)
			t.Ask(model.ShardID(owner), ask)
		}
	}
	c.home(t)
}

// add takes a partition into the request to its owner, if this node has it; at a core's port, if that core does: clients add up what every
// broker says.
func (c *logDirsCall) add(topic *placement.Topic, index int32) {
	node := c.desk.node
	place := topic.Partition(index)
	owner := place.ShardOn(node.ID)
	if owner < 0 || int(owner) >= len(c.asks) || c.desk.elsewhere(c.request, owner) {
		return
	}
	ask := c.asks[owner]
	if ask == nil {
		ask = &partition.SizesAsk{}
		c.asks[owner] = ask
	}
	c.places = append(c.places, sizedPlace{topic, owner, len(ask.Parts), node.Directories.Of(place.DirectoryOn(node.ID))})
	ask.Parts = append(ask.Parts, partition.Sized{Partition: model.Partition{Topic: topic.ID, Index: index}})
}

// Measured takes one owner's answer home.
func (c *logDirsCall) Measured(t *shard.Turn, _ *partition.SizesAsk) {
	t.Expect(-1)
	c.home(t)
}

// home counts an answer; the last one sends a helper, because asking a file system for its size may wait.
func (c *logDirsCall) home(t *shard.Turn) {
	if c.left--; c.left == 0 {
		t.Help(c)
	}
}

// Run puts the answer together.
func (c *logDirsCall) Run() {
	for _, d := range c.desk.node.Directories.All {
		c.resp.Dirs = append(c.resp.Dirs, c.describe(d))
	}
}

func (c *logDirsCall) describe(d *logdir.Directory) kmsg.DescribeLogDirsResponseDir {
	dir := kmsg.NewDescribeLogDirsResponseDir()
	dir.Dir = d.Name
	if path, err := filepath.Abs(d.Name); err == nil {
		dir.Dir = path
	}
	total, free, err := int64(0), int64(0), d.Fenced()
	if err == nil {
		total, free, err = device.Space(d.Dir.Path())
	}
	if err != nil {
		dir.ErrorCode = int16(wire.CodeKafkaStorageError)
		return dir
	}
	dir.TotalBytes, dir.UsableBytes, dir.IsCordoned = total, free, d.Cordoned()
	var last *placement.Topic
	for _, place := range c.places {
		sized := &c.asks[place.owner].Parts[place.at]
		if place.directory != d && sized.Future != d {
			continue
		}
		if place.topic != last {
			topic := kmsg.NewDescribeLogDirsResponseDirTopic()
			topic.Topic = place.topic.Name
			dir.Topics = append(dir.Topics, topic)
			last = place.topic
		}
		part := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		part.Partition, part.Size = sized.Partition.Index, sized.Bytes
		if sized.Future == d {
			part.IsFuture, part.Size, part.OffsetLag = true, sized.FutureBytes, sized.FutureLag
		}
		topic := &dir.Topics[len(dir.Topics)-1]
		topic.Partitions = append(topic.Partitions, part)
	}
	return dir
}

// Deliver answers, back on the home shard.
func (c *logDirsCall) Deliver(t *shard.Turn) {
	for i := range c.resp.Dirs {
		c.desk.count(wire.ErrorCode(c.resp.Dirs[i].ErrorCode))
	}
	c.desk.answer(t, c.request, c.resp)
}
