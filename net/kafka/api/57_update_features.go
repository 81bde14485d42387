package api

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// UpdateFeatures (key 57, KIP-584) raises or lowers the levels of features for the whole cluster. None is finalised here (see ApiVersions), so
// there is none to change: the first that is named is refused, and all others with it. Version 1 tells kinds of downgrades apart and can
// validate only (KIP-778), 2 no longer answers feature by feature.

func (d *Desk) updateFeatures(t *shard.Turn, r *conn.Request, req *kmsg.UpdateFeaturesRequest) {
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	r.FreeBody(t)
	code, message := wire.CodeNone, ""
	switch {
	case !d.allowed(r, opAlter, onCluster, ""):
		code, message = wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."
	case len(req.FeatureUpdates) > 0:
		f := &req.FeatureUpdates[0]
		code = wire.CodeInvalidUpdateVersion
		message = fmt.Sprintf("The update failed for all features since the following feature had an error: Invalid update version %d for feature %s. "+
			"Local controller %d does not support this feature.", f.MaxVersionLevel, f.Feature, d.self())
	}
	if code != wire.CodeNone {
		resp.ErrorCode, resp.ErrorMessage = int16(code), &message
		d.count(code)
	}
	d.answer(t, r, resp)
}
