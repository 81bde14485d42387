package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// Heartbeat (key 12) keeps a member in its group, and tells it by REBALANCE_IN_PROGRESS that it has to join again. Version 3 brought static members.
// While the coordinator reads what it knows, every heartbeat is good, as in Kafka: the sessions begin only then.

func (d *Desk) heartbeat(t *shard.Turn, r *conn.Request, req *kmsg.HeartbeatRequest) {
	ask := &group.Heartbeat{Common: group.Common{Group: req.Group}, Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation}
	r.Calm()
	r.FreeBody(t)
	d.coordinate(t, r, req.Group, ask, func(t *shard.Turn, code group.Code) {
		if code == group.Loading {
			code = group.OK
		}
		resp := kmsg.NewPtrHeartbeatResponse()
		resp.ErrorCode = d.groupError(code)
		d.answer(t, r, resp)
	})
}
