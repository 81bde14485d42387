package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/config"
	"pinion/engine/shard"
	"pinion/net/conn"
)

// AlterConfigs (key 33) replaces the settings of topics, of this broker, or of all brokers: what is not named goes back to its default.
// Old tools know nothing else; the others use key 44. Each resource succeeds or fails by itself. Versions differ in form alone (2 is
// flexible).

func (d *Desk) alterConfigs(t *shard.Turn, r *conn.Request, req *kmsg.AlterConfigsRequest) {
	resp := kmsg.NewPtrAlterConfigsResponse()
	resp.Resources = make([]kmsg.AlterConfigsResponseResource, len(req.Resources))
	list := make([]*alteration, len(req.Resources))
	for i := range req.Resources {
		in, out := &req.Resources[i], &resp.Resources[i]
		*out = kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		a := &alteration{kind: in.ResourceType, name: in.ResourceName, replace: true, validateOnly: req.ValidateOnly}
		for j := range in.Configs {
			a.add(in.Configs[j].Name, config.Set, in.Configs[j].Value)
		}
		a.done = func(_ *shard.Turn, refusal *configRefusal) {
			out.ErrorCode, out.ErrorMessage = d.refusedConfig(refusal)
		}
		list[i] = a
	}
	r.FreeBody(t)
	d.alterAll(t, r, list, resp)
}
