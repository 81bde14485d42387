package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// DeleteGroups (key 42) removes groups without members, and their offsets. It is answered when that is durable. Versions differ in form
// alone (2 is flexible).

func (d *Desk) deleteGroups(t *shard.Turn, r *conn.Request, req *kmsg.DeleteGroupsRequest) {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	r.FreeBody(t)
	var ids []string
	seen := make(map[string]bool, len(req.Groups))
	for _, id := range req.Groups {
		if !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(ids))
	left := 1
	home := func(t *shard.Turn) {
		if left--; left == 0 {
			d.answer(t, r, resp)
		}
	}
	for i, id := range ids {
		out := &resp.Groups[i]
		*out = kmsg.NewDeleteGroupsResponseGroup()
		out.Group = id
		left++
		d.coordinate(t, r, id, &group.Delete{Common: group.Common{Group: id}}, func(t *shard.Turn, code group.Code) {
			out.ErrorCode = d.groupError(code)
			home(t)
		})
	}
	home(t)
}
