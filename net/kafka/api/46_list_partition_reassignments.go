package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// ListPartitionReassignments (key 46, KIP-455) shows the partitions whose replicas are being moved. None ever is: see key 45. Version 0 is the
// only one.

func (d *Desk) listReassignments(t *shard.Turn, r *conn.Request, _ *kmsg.ListPartitionReassignmentsRequest) {
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	r.FreeBody(t)
	if !d.allowed(r, opDescribe, onCluster, "") {
		resp.ErrorCode = int16(wire.CodeClusterAuthorizationFailed)
		d.count(wire.CodeClusterAuthorizationFailed)
	}
	d.answer(t, r, resp)
}
