package front

import (
	"sync/atomic"
	"time"

	"pinion/engine/coordinator"
	"pinion/engine/partition"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/admin"
	"pinion/net/conn"
	"pinion/net/kafka/api"
	"pinion/net/kafka/wire"
	"pinion/net/listen"
)

// Gauge reads the shards' counters for the admin server. A shard keeps plain integers; a scrape visits it by mail and, if it does
// not answer in time, shows what was read last.
type Gauge struct {
	front *Front
	last  []atomic.Pointer[admin.ShardStats] // by shard; what was read last
}

// visitMax is how long a scrape waits for one shard.
const visitMax = 500 * time.Millisecond

// NewGauge makes the gauge of a front that will be opened.
func NewGauge(f *Front, shards int) *Gauge {
	return &Gauge{front: f, last: make([]atomic.Pointer[admin.ShardStats], shards)}
}

// Stats reads one shard.
func (g *Gauge) Stats(i int) admin.ShardStats {
	f := g.front
	fresh := &admin.ShardStats{}
	if f.isOpen() {
		done := f.shard(i).Visit(func(t *shard.Turn) { f.read(t, i, fresh) })
		select {
		case <-done:
			g.last[i].Store(fresh)
			return *fresh
		case <-time.After(visitMax):
		}
	}
	if last := g.last[i].Load(); last != nil {
		return *last
	}
	return admin.ShardStats{}
}

// read runs on the shard.
func (f *Front) read(t *shard.Turn, i int, out *admin.ShardStats) {
	loop := t.Stats()
	out.BusyNanos = uint64(loop.Turns.Sum)
	out.Turns = buckets(&loop.Turns)
	out.MailTaken, out.Doorbells = loop.Mail, loop.Doorbells
	out.HelperJobs, out.HelperWaiting = loop.Jobs, uint64(loop.Waiting)
	hub := f.hubs[i].Stats(t)
	readHub(&hub, out)
	desk := f.desks[i].Stats(t)
	for code, n := range desk.Errors {
		out.Errors[admin.ErrorIndex(int16(code))] = n
	}
	out.ParkedBytesUsed, out.ParkedBytesLimit = uint64(desk.Parked.Used()), uint64(desk.Parked.Limit)
	set := f.broker.Sets[i].Stats(t)
	readSet(&set, out)
	readDesk(&desk, out)
	seats := f.broker.Groups[i].Stats(t)
	readGroups(&seats, out)
}

func readGroups(seats *coordinator.Stats, out *admin.ShardStats) {
	g := &seats.Groups
	out.Groups, out.GroupMembers, out.GroupOffsets, out.GroupsLoading = uint64(g.Groups), uint64(g.Members), uint64(g.Offsets), uint64(seats.Loading)
	out.GroupCommits, out.GroupRebalances, out.GroupExpired = g.Commits, g.Rebalances, g.Expired
}

func buckets(times *shard.Times) admin.Buckets {
	return admin.Buckets{Count: times.Count, Nanos: uint64(times.Sum)}
}

func readDesk(desk *api.Stats, out *admin.ShardStats) {
	out.Parked = uint64(desk.Polls)
	out.Topics.ProduceRequests, out.Topics.ProduceFailed = desk.Produced, desk.ProduceFailed
	out.Topics.InvalidRecords, out.Topics.BytesRejected = desk.Invalid, desk.BytesRejected
	out.Topics.FetchRequests, out.Topics.FetchFailed = desk.Fetched, desk.FetchFailed
}

func readHub(hub *conn.Stats, out *admin.ShardStats) {
	for i, n := range hub.Requests {
		out.Requests[admin.APIIndex(wire.Keys[i].Key)] = n
	}
	out.SocketBytesIn, out.SocketBytesOut = hub.BytesIn, hub.BytesOut
	out.Connections = uint64(hub.Connections)
	out.ConnectionsAccepted, out.ConnectionsClosed, out.ConnectionsMoved = hub.Accepted, hub.Closed, hub.Moved
	out.RefusedTotal, out.RefusedPerIP, out.RefusedExhausted = hub.RefusedTotal, hub.RefusedPerIP, hub.RefusedExhausted
	out.Throttled, out.ThrottledNanos = hub.Muted, uint64(hub.MutedFor)
	out.ProduceTime, out.FetchTime = buckets(&hub.ProduceTimes), buckets(&hub.FetchTimes)
	for kind := range listen.KindCount {
		out.Rejects[kind] = hub.Rejects[kind]
	}
	request, large, response := hub.Budgets[conn.BudgetRequest], hub.Budgets[conn.BudgetLargeRequest], hub.Budgets[conn.BudgetResponse]
	out.RequestBytesUsed, out.RequestBytesLimit = uint64(request.Used+large.Used), uint64(request.Limit+large.Limit)
	out.ResponseBytesUsed, out.ResponseBytesLimit = uint64(response.Used), uint64(response.Limit)
	out.ColdReads = hub.ColdReads
	out.Topics.BytesOut = hub.Sendfile + hub.Mapped + hub.Copied
}

func readSet(set *partition.Stats, out *admin.ShardStats) {
	out.Partitions, out.Leaders = uint64(set.Partitions), uint64(set.Partitions-set.Failed)
	out.Topics.MessagesIn, out.Topics.BytesIn = set.Records, set.BytesIn
	clean := &set.Clean
	out.CleanPasses, out.CleanRead, out.CleanWritten, out.CleanRemoved = clean.Passes, clean.Read, clean.Written, clean.Removed
	out.Uncleanable, out.DirtyMax, out.CleanMillisMax = uint64(clean.Uncleanable), uint64(clean.DirtyMax*1000), uint64(clean.Longest.Milliseconds())
}

// Cluster reads the catalogue's image. What lies in a directory that is missing or out of service is offline at its shard as well.
func (g *Gauge) Cluster() admin.ClusterStats {
	st := admin.ClusterStats{Controller: true}
	b := g.front.brokerNow()
	if b == nil {
		return st
	}
	for i := range g.last {
		if s := g.last[i].Load(); s != nil {
			st.Offline += s.Partitions - s.Leaders
		}
	}
	j := b.JournalStats()
	st.Journal = admin.JournalStats{Writes: j.Writes, Commits: j.Commits, Bytes: j.Bytes, Waits: j.Waits, Files: uint64(j.Files), Used: uint64(j.Used)}
	for _, d := range b.Directories.All {
		st.Directories = append(st.Directories, admin.DirectoryStats{Path: d.Name, Offline: d.Fenced() != nil, Full: d.Full()})
	}
	image := b.Control.Image()
	st.Topics, st.Partitions, st.ImageRevision = image.TopicCount(), uint64(image.PartitionCount()), uint64(image.Revision())
	g.front.Naming.Brokers(image, g.front.Advertised[0].Name, func(seen placement.Seen) bool {
		at := placement.Listener{Host: seen.Host, Port: seen.Port}
		st.Brokers = append(st.Brokers, admin.BrokerStats{ID: int32(seen.ID), Address: address(at)})
		return true
	})
	return st
}
