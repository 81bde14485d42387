package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DescribeCluster (key 60, KIP-700) names the brokers, as the listener of this connection reaches them, and the cluster. Version 1 adds
// the type of endpoint wanted (KIP-919): this is a broker's, whoever wants a controller's is told so. Version 2 can name fenced brokers,
// which are otherwise left out (KIP-1073). As in Kafka, a broker names a broker as the controller: clients send it what a controller does.

// Endpoint types. Fixed by the protocol.
const (
	endpointBroker     = 1
	endpointController = 2
)

func (d *Desk) describeCluster(t *shard.Turn, r *conn.Request, req *kmsg.DescribeClusterRequest) {
	resp := kmsg.NewPtrDescribeClusterResponse()
	wanted := req.EndpointType
	if r.Version == 0 {
		wanted = endpointBroker
	}
	if wanted != endpointBroker {
		code, message := wire.CodeMismatchedEndpointType, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
		if wanted != endpointController {
			code, message = wire.CodeUnsupportedEndpointType, fmt.Sprintf("Unsupported endpoint type %d", wanted)
		}
		resp.ErrorCode, resp.ErrorMessage = int16(code), &message
		d.count(code)
		d.answer(t, r, resp)
		return
	}
	image := d.image()
	resp.EndpointType = endpointBroker
	resp.ClusterID, resp.ControllerID = image.Cluster(), d.self()
	for e := range d.brokers(r) {
		if e.Fenced && (r.Version < 2 || !req.IncludeFencedBrokers) {
			continue
		}
		b := kmsg.NewDescribeClusterResponseBroker()
		b.NodeID, b.Host, b.Port, b.IsFenced = int32(e.ID), e.Host, e.Port, e.Fenced
		if e.Rack != "" {
			b.Rack = &e.Rack
		}
		resp.Brokers = append(resp.Brokers, b)
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = d.operations(r, onCluster, "")
	}
	d.answer(t, r, resp)
}
