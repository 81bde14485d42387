package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/config"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// IncrementalAlterConfigs (key 44, KIP-339) sets and deletes single settings of topics, of this broker, or of all brokers, and adds to
// lists and takes from them. Each resource succeeds or fails by itself and as a whole; with validateOnly nothing is stored. What a topic's
// settings act on follows at once. Version 1 is flexible.

func (d *Desk) incrementalAlterConfigs(t *shard.Turn, r *conn.Request, req *kmsg.IncrementalAlterConfigsRequest) {
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	resp.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(req.Resources))
	list := make([]*alteration, len(req.Resources))
	for i := range req.Resources {
		in, out := &req.Resources[i], &resp.Resources[i]
		*out = kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		a := &alteration{kind: in.ResourceType, name: in.ResourceName, validateOnly: req.ValidateOnly}
		for j := range in.Configs {
			a.add(in.Configs[j].Name, config.Operation(in.Configs[j].Op), in.Configs[j].Value)
		}
		a.done = func(_ *shard.Turn, refusal *configRefusal) {
			out.ErrorCode, out.ErrorMessage = d.refusedConfig(refusal)
		}
		list[i] = a
	}
	r.FreeBody(t)
	d.alterAll(t, r, list, resp)
}
