package api

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// ListConfigResources (key 74, KIP-1000, KIP-1142) names everything that has a configuration: topics and brokers, their loggers, and of groups and
// subscriptions to client metrics those that were configured. Version 0 knows client metrics alone; 1 names kinds, and none means all.

func (d *Desk) listConfigResources(t *shard.Turn, r *conn.Request, req *kmsg.ListConfigResourcesRequest) {
	resp := kmsg.NewPtrListConfigResourcesResponse()
	r.FreeBody(t)
	served := []int8{int8(configGroup), int8(configClientMetrics), int8(configLogger), int8(configBroker), int8(configTopic)} // in Kafka's order
	if r.Version == 0 {
		served = []int8{int8(configClientMetrics)}
	}
	kinds := req.ResourceTypes
	if len(kinds) == 0 {
		kinds = served
	}
	code := wire.CodeNone
	if !d.allowed(r, opDescribeConfigs, onCluster, "") {
		code = wire.CodeClusterAuthorizationFailed
	}
	for _, kind := range kinds {
		if code == wire.CodeNone && !slices.Contains(served, kind) {
			code = wire.CodeUnsupportedVersion
		}
	}
	if resp.ErrorCode = int16(code); code != wire.CodeNone {
		d.count(code)
		d.answer(t, r, resp)
		return
	}
	for _, kind := range served {
		if slices.Contains(kinds, kind) {
			d.configResources(r, kmsg.ConfigResourceType(kind), func(name string) {
				out := kmsg.NewListConfigResourcesResponseConfigResource()
				out.Name, out.Type = name, kind
				resp.ConfigResources = append(resp.ConfigResources, out)
			})
		}
	}
	d.answer(t, r, resp)
}

// configResources yields the names of a kind.
func (d *Desk) configResources(r *conn.Request, kind kmsg.ConfigResourceType, yield func(name string)) {
	switch kind {
	case configTopic:
		d.image().Topics(func(topic *placement.Topic) bool {
			yield(topic.Name)
			return true
		})
	case configBroker, configLogger:
		for b := range d.brokers(r) {
			yield(strconv.Itoa(int(b.ID)))
		}
	case configClientMetrics, configGroup:
		for resource := range d.image().EachResource {
			if resource.Kind == int8(kind) {
				yield(resource.Name)
			}
		}
	}
}
