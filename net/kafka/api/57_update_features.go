package api

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// UpdateFeatures (key 57, KIP-584) raises or lowers the levels of features for the whole cluster. None is finalised here (see ApiVersions): each
// feature of Kafka's is at 0, where it may be taken again, and anything else is refused, with all that was asked. Version 1 tells kinds of
// downgrades apart and can validate only (KIP-778), 2 no longer answers feature by feature.

// levelled are the features of Kafka 4.3 that can be at 0. metadata.version cannot; kraft.version can, and has no way down.
var levelled = []string{"eligible.leader.replicas.version", "group.version", "share.version", "streams.version", "transaction.version"}

func (d *Desk) updateFeatures(t *shard.Turn, r *conn.Request, req *kmsg.UpdateFeaturesRequest) {
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	r.FreeBody(t)
	code, message := wire.CodeNone, ""
	if !d.allowed(r, opAlter, onCluster, "") {
		code, message = wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."
	}
	for i := 0; i < len(req.FeatureUpdates) && code == wire.CodeNone; i++ {
		f := &req.FeatureUpdates[i]
		if why := d.refuseFeature(f, r.Version); why != "" {
			code = wire.CodeInvalidUpdateVersion
			message = fmt.Sprintf("The update failed for all features since the following feature had an error: Invalid update version %d for feature %s. %s",
				f.MaxVersionLevel, f.Feature, why)
		}
	}
	switch {
	case code != wire.CodeNone:
		resp.ErrorCode, resp.ErrorMessage = int16(code), &message
		d.count(code)
	case r.Version <= 1:
		for i := range req.FeatureUpdates {
			one, none := kmsg.NewUpdateFeaturesResponseResult(), "NONE" // Kafka's name of no error
			one.Feature, one.ErrorMessage = req.FeatureUpdates[i].Feature, &none
			resp.Results = append(resp.Results, one)
		}
	}
	d.answer(t, r, resp)
}

// refuseFeature is why a feature cannot be changed like this; empty where it stays as it is. In version 0 every change is an upgrade.
func (d *Desk) refuseFeature(f *kmsg.UpdateFeaturesRequestFeatureUpdate, version int16) string {
	switch {
	case version >= 1 && (f.UpgradeType < 1 || f.UpgradeType > 3):
		return "The controller does not support the given upgrade type."
	case f.MaxVersionLevel < 0:
		return "A feature version cannot be less than 0."
	case f.MaxVersionLevel > 0 || f.Feature == "metadata.version":
		return fmt.Sprintf("Local controller %d does not support this feature.", d.self())
	case f.Feature == "kraft.version":
		return "Can't downgrade the version of this feature."
	case !slices.Contains(levelled, f.Feature):
		return fmt.Sprintf("Feature %s not found.", f.Feature)
	}
	return ""
}
