package api

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// JoinGroup (key 11) asks to be a member of a group's next generation, and is answered when it begins: with everybody's subscriptions for the
// leader. Version 1 has a rebalance timeout of its own, 4 has a new member ask twice (KIP-394), 5 static members, 7 names the protocol
// type in the answer, 8 gives a reason, 9 may tell a static leader to assign nothing (KIP-814).

// Versions that change what a join means.
const (
	joinRebalanceFrom = 1
	joinTwoStepsFrom  = 4
	joinTypeFrom      = 7
	joinSkipFrom      = 9
)

func (d *Desk) joinGroup(t *shard.Turn, r *conn.Request, req *kmsg.JoinGroupRequest) {
	ask := &group.Join{
		Common: group.Common{Group: req.Group}, Member: req.MemberID, Instance: req.InstanceID, ClientID: string(r.ClientID), ClientHost: clientHost(r),
		Type: req.ProtocolType, Session: time.Duration(req.SessionTimeoutMillis) * time.Millisecond,
		Rebalance: time.Duration(req.RebalanceTimeoutMillis) * time.Millisecond, TwoSteps: r.Version >= joinTwoStepsFrom, MaySkip: r.Version >= joinSkipFrom,
	}
	if r.Version < joinRebalanceFrom {
		ask.Rebalance = ask.Session
	}
	for i := range req.Protocols {
		ask.Protocols = append(ask.Protocols, group.Protocol{Name: req.Protocols[i].Name, Metadata: kept(req.Protocols[i].Metadata)})
	}
	r.FreeBody(t)
	d.coordinate(t, r, req.Group, ask, func(t *shard.Turn, code group.Code) {
		resp := kmsg.NewPtrJoinGroupResponse()
		resp.ErrorCode = d.groupError(code)
		resp.MemberID, resp.Generation, resp.LeaderID, resp.SkipAssignment = ask.Assigned, ask.Generation, ask.Leader, ask.Skip
		switch {
		case ask.Chosen != nil:
			resp.ProtocolType, resp.Protocol = &ask.Chosen.Type, ask.Chosen.Name
		case code != group.OK && !groupDecided(code):
			resp.MemberID, resp.Generation = req.MemberID, -1
		}
		for i := range ask.Members {
			m := kmsg.NewJoinGroupResponseMember()
			m.MemberID, m.InstanceID, m.ProtocolMetadata = ask.Members[i].Member, ask.Members[i].Instance, ask.Members[i].Metadata
			resp.Members = append(resp.Members, m)
		}
		d.answer(t, r, resp)
	})
}

// groupDecided reports whether a code is a group's own rather than about who coordinates it.
func groupDecided(code group.Code) bool {
	return code != group.NotCoordinator && code != group.Loading && code != group.NotAvailable
}
