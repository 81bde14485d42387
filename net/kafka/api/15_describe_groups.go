package api

import (
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// DescribeGroups (key 15) shows groups and their members; what members subscribe to and were assigned only of stable groups. Version 3
// adds the operations allowed (KIP-430), 4 static members, 6 says GROUP_ID_NOT_FOUND where earlier ones show a Dead group.

const (
	describeOperationsFrom = 3
	describeNotFoundFrom   = 6
)

func (d *Desk) describeGroups(t *shard.Turn, r *conn.Request, req *kmsg.DescribeGroupsRequest) {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(req.Groups))
	r.FreeBody(t)
	left := 1
	home := func(t *shard.Turn) {
		if left--; left == 0 {
			d.answer(t, r, resp)
		}
	}
	for i, id := range req.Groups {
		out := &resp.Groups[i]
		*out = kmsg.NewDescribeGroupsResponseGroup()
		out.Group, out.AuthorizedOperations = id, noOperations
		ask := &group.Describe{Common: group.Common{Group: id}}
		left++
		d.coordinate(t, r, id, ask, func(t *shard.Turn, code group.Code) {
			d.describeGroup(r, req, out, ask, code)
			home(t)
		})
	}
	home(t)
}

func (d *Desk) describeGroup(r *conn.Request, req *kmsg.DescribeGroupsRequest, out *kmsg.DescribeGroupsResponseGroup, ask *group.Describe, code group.Code) {
	switch {
	case code == group.NotFound && r.Version < describeNotFoundFrom:
		out.State = ask.State.String()
	case code == group.NotFound:
		out.State = ask.State.String()
		out.ErrorCode = d.groupError(code)
		if words := fmt.Sprintf("Group %s not found.", ask.Group); len(words) <= math.MaxInt16 { // as long as a text of the protocol may be
			out.ErrorMessage = &words
		}
		return
	case code != group.OK:
		out.ErrorCode = d.groupError(code)
		return
	default:
		out.State, out.ProtocolType, out.Protocol = ask.State.String(), ask.Type, ask.Protocol
	}
	if r.Version >= describeOperationsFrom && req.IncludeAuthorizedOperations {
		out.AuthorizedOperations = d.operations(r, onGroup, ask.Group)
	}
	for i := range ask.Members {
		in := &ask.Members[i]
		m := kmsg.NewDescribeGroupsResponseGroupMember()
		m.MemberID, m.InstanceID, m.ClientID, m.ClientHost = in.Member, in.Instance, in.ClientID, in.ClientHost
		m.ProtocolMetadata, m.MemberAssignment = in.Metadata, in.Assignment
		out.Members = append(out.Members, m)
	}
}
