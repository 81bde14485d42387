package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
	"pinion/net/listen"
)

// InitProducerId (key 22) gives an idempotent producer its id; any broker may answer. Version 3 lets a producer name the id and
// epoch it has, to bump the epoch: without transactions a new id serves the same end, and that is what Kafka gives. A
// transactional id is refused for good: there are no transactions yet.

func (d *Desk) initProducerID(t *shard.Turn, r *conn.Request, req *kmsg.InitProducerIDRequest) {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	refuse := func(t *shard.Turn, code wire.ErrorCode) {
		resp.ErrorCode = int16(code)
		d.count(code)
		d.answer(t, r, resp)
	}
	switch {
	case req.TransactionalID != nil && *req.TransactionalID == "":
		refuse(t, wire.CodeInvalidRequest)
		return
	case req.TransactionalID != nil:
		if r.Conn().Complain(t, listen.Transactional) {
			d.node.Log.Warn("transactional producer refused: this release has no transactions; use an idempotent producer", "peer", r.Conn().Peer())
		}
		refuse(t, wire.CodeTransactionalIDAuthorizationFailed)
		return
	case r.Version >= 3 && (req.ProducerID == -1) != (req.ProducerEpoch == -1):
		refuse(t, wire.CodeInvalidRequest)
		return
	case !d.allowed(r, opIdempotentWrite, onCluster, ""):
		refuse(t, wire.CodeClusterAuthorizationFailed)
		return
	}
	r.FreeBody(t)
	asked := d.node.Control.ProducerID(func(id int64, err error) {
		d.later(func(t *shard.Turn) {
			if err != nil {
				refuse(t, wire.CodeCoordinatorLoadInProgress)
				return
			}
			resp.ProducerID, resp.ProducerEpoch = id, 0
			d.answer(t, r, resp)
		})
	})
	if !asked {
		refuse(t, wire.CodeCoordinatorLoadInProgress)
	}
}
