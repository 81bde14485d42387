package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// SyncGroup (key 14) gives each member what the leader assigned to it. It waits for the leader's own SyncGroup, which brings the assignment, and
// for that to be durable. Version 3 brought static members, 5 says which protocol the member believes in.

// syncProtocolFrom is the first version that has to name the protocol.
const syncProtocolFrom = 5

func (d *Desk) syncGroup(t *shard.Turn, r *conn.Request, req *kmsg.SyncGroupRequest) {
	ask := &group.Sync{Common: group.Common{Group: req.Group}, Member: req.MemberID, Instance: req.InstanceID, Generation: req.Generation,
		Type: req.ProtocolType, Name: req.Protocol}
	for i := range req.GroupAssignment {
		ask.Assignments = append(ask.Assignments, group.Assignment{Member: req.GroupAssignment[i].MemberID, Bytes: kept(req.GroupAssignment[i].MemberAssignment)})
	}
	r.FreeBody(t)
	done := func(t *shard.Turn, code group.Code) {
		resp := kmsg.NewPtrSyncGroupResponse()
		resp.ErrorCode = d.groupError(code)
		if ask.Chosen != nil {
			resp.ProtocolType, resp.Protocol = &ask.Chosen.Type, ask.Chosen.Name
		}
		resp.MemberAssignment = ask.Assignment
		d.answer(t, r, resp)
	}
	if r.Version >= syncProtocolFrom && (req.ProtocolType == nil || req.Protocol == nil) {
		done(t, group.InconsistentProtocol)
		return
	}
	d.coordinate(t, r, req.Group, ask, done)
}
