package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// UnregisterBroker (key 64, KIP-631) makes the cluster forget a broker that is gone. The one broker of a node that is alone is the one that
// answers: it is not gone, and forgetting it would leave every partition without a leader. Version 0 is the only one.

func (d *Desk) unregisterBroker(t *shard.Turn, r *conn.Request, req *kmsg.UnregisterBrokerRequest) {
	resp := kmsg.NewPtrUnregisterBrokerResponse()
	r.FreeBody(t)
	var code wire.ErrorCode
	var message string
	switch {
	case !d.allowed(r, opAlter, onCluster, ""):
		code, message = wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."
	case d.isOurs(int64(req.BrokerID)):
		code, message = wire.CodeInvalidRequest, fmt.Sprintf("Broker ID %d is running; only a broker that is gone can be unregistered", req.BrokerID)
	default:
		code, message = wire.CodeBrokerIDNotRegistered, fmt.Sprintf("Broker ID %d is not currently registered", req.BrokerID)
	}
	resp.ErrorCode, resp.ErrorMessage = int16(code), &message
	d.count(code)
	d.answer(t, r, resp)
}
