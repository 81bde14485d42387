package api

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/coordinator"
	"pinion/engine/group"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// ListGroups (key 16) lists the groups this broker coordinates; clients ask every broker. Version 4 filters by state (KIP-518), 5 by type
// (KIP-848). While a partition of groups is still being read there is no telling.

func (d *Desk) listGroups(t *shard.Turn, r *conn.Request, req *kmsg.ListGroupsRequest) {
	resp := kmsg.NewPtrListGroupsResponse()
	resp.Groups = []kmsg.ListGroupsResponseGroup{}
	wanted := groupFilter(req)
	r.FreeBody(t)
	left := 1
	home := func(t *shard.Turn) {
		if left--; left > 0 {
			return
		}
		if resp.ErrorCode != 0 {
			resp.Groups = nil
		}
		d.answer(t, r, resp)
	}
	if topic := d.image().TopicCalled(coordinator.Topic); topic != nil {
		for i := range topic.Partitions() {
			ask := &group.List{}
			left++
			d.coordinateAt(t, r, topic, i, ask, func(t *shard.Turn, code group.Code) {
				if code == group.Loading || code == group.NotAvailable {
					resp.ErrorCode = int16(groupErrors[code])
				}
				for j := range ask.Groups {
					if wanted(&ask.Groups[j]) {
						resp.Groups = append(resp.Groups, listedGroup(&ask.Groups[j]))
					}
				}
				home(t)
			})
		}
	}
	home(t)
	d.count(wire.ErrorCode(resp.ErrorCode))
}

// classicGroups is the type of every group here, as Kafka names it.
const classicGroups = "classic"

// groupFilter tells which groups are asked for. Names of states and types may be in any case.
func groupFilter(req *kmsg.ListGroupsRequest) func(g *group.Listed) bool {
	has := func(list []string, name string) bool {
		for _, s := range list {
			if strings.EqualFold(strings.TrimSpace(s), name) {
				return true
			}
		}
		return len(list) == 0
	}
	return func(g *group.Listed) bool {
		return has(req.StatesFilter, g.State.String()) && has(req.TypesFilter, classicGroups)
	}
}

func listedGroup(in *group.Listed) kmsg.ListGroupsResponseGroup {
	out := kmsg.NewListGroupsResponseGroup()
	out.Group, out.ProtocolType, out.GroupState, out.GroupType = in.Group, in.Type, in.State.String(), classicGroups
	return out
}
