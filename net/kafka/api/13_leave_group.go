package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// LeaveGroup (key 13) removes members, so that nobody waits for their sessions to end. Version 3 removes several, static ones by their
// instance alone (KIP-345), 5 gives reasons.

// leaveManyFrom is the first version with a list of members.
const leaveManyFrom = 3

func (d *Desk) leaveGroup(t *shard.Turn, r *conn.Request, req *kmsg.LeaveGroupRequest) {
	ask := &group.Leave{Common: group.Common{Group: req.Group}}
	if r.Version < leaveManyFrom {
		ask.Members = []group.Leaver{{Member: req.MemberID}}
	}
	for i := range req.Members {
		ask.Members = append(ask.Members, group.Leaver{Member: req.Members[i].MemberID, Instance: req.Members[i].InstanceID})
	}
	r.FreeBody(t)
	d.coordinate(t, r, req.Group, ask, func(t *shard.Turn, code group.Code) {
		resp := kmsg.NewPtrLeaveGroupResponse()
		if code == group.OK && r.Version < leaveManyFrom {
			code = ask.Members[0].Code
		}
		resp.ErrorCode = d.groupError(code)
		for i := range ask.Members {
			if code != group.OK {
				break
			}
			m := kmsg.NewLeaveGroupResponseMember()
			m.MemberID, m.InstanceID, m.ErrorCode = ask.Members[i].Member, ask.Members[i].Instance, d.groupError(ask.Members[i].Code)
			resp.Members = append(resp.Members, m)
		}
		d.answer(t, r, resp)
	})
}
