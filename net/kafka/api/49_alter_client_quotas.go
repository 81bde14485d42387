package api

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// AlterClientQuotas (key 49, KIP-546) sets and removes what users and client ids may use; addresses have no quotas here. Each entity succeeds or fails by itself; what succeeds of one request is stored together. Quotas act at once. Version 1 is flexible.

// entityPart is one name of an entity on the wire; a null name is the default.
type entityPart struct {
	kind string
	name *string
}

func entityParts(e *placement.Entity) []entityPart {
	var parts []entityPart
	for _, p := range []struct {
		kind string
		who  placement.Who
	}{{quotaClient, e.Client}, {quotaUser, e.User}, {quotaIP, e.IP}} {
		switch p.who.Kind {
		case placement.Named:
			parts = append(parts, entityPart{p.kind, &p.who.Name})
		case placement.Default:
			parts = append(parts, entityPart{kind: p.kind})
		}
	}
	return parts
}

func quotaKeysOf(values map[string]float64) []string { return slices.Sorted(maps.Keys(values)) }

// clientQuotas are the keys of quotas, and whether they are whole numbers. Fixed by the protocol.
var clientQuotas = map[string]bool{
	placement.ProducerByteRate: true, placement.ConsumerByteRate: true, placement.RequestPercentage: false, placement.ControllerMutationRate: false,
}

func (d *Desk) alterClientQuotas(t *shard.Turn, r *conn.Request, req *kmsg.AlterClientQuotasRequest) {
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	resp.Entries = make([]kmsg.AlterClientQuotasResponseEntry, len(req.Entries))
	r.FreeBody(t)
	var changes []catalog.QuotaChange
	var good []int
	seen := map[placement.Entity]bool{}
	for i := range req.Entries {
		in, out := &req.Entries[i], &resp.Entries[i]
		*out = kmsg.NewAlterClientQuotasResponseEntry()
		for j := range in.Entity {
			e := kmsg.NewAlterClientQuotasResponseEntryEntity()
			e.Type, e.Name = in.Entity[j].Type, in.Entity[j].Name
			out.Entity = append(out.Entity, e)
		}
		change, refusal := quotaChange(in)
		switch {
		case !d.allowed(r, opAlterConfigs, onCluster, ""):
			refusal = &configRefusal{wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."}
		case refusal == nil && seen[change.Entity]:
			refusal = &configRefusal{wire.CodeInvalidRequest, "Ignoring duplicate entity"}
		}
		if refusal != nil {
			out.ErrorCode, out.ErrorMessage = d.refusedConfig(refusal)
			continue
		}
		seen[change.Entity] = true
		changes, good = append(changes, change), append(good, i)
	}
	if len(changes) == 0 || req.ValidateOnly {
		d.answer(t, r, resp)
		return
	}
	finish := func(t *shard.Turn, refusal *configRefusal) {
		for _, i := range good {
			resp.Entries[i].ErrorCode, resp.Entries[i].ErrorMessage = d.refusedConfig(refusal)
		}
		d.answer(t, r, resp)
	}
	if !d.propose(catalog.AlterQuotas(changes), func(t *shard.Turn, res catalog.Result) { finish(t, refusalOf(res.Err)) }) {
		finish(t, refusalOf(controllerBusy))
	}
}

// quotaChange reads one entry, and says in Kafka's words what is wrong with it.
func quotaChange(in *kmsg.AlterClientQuotasRequestEntry) (catalog.QuotaChange, *configRefusal) {
	invalid := func(format string, args ...any) (catalog.QuotaChange, *configRefusal) {
		return catalog.QuotaChange{}, &configRefusal{wire.CodeInvalidRequest, fmt.Sprintf(format, args...)}
	}
	entity, wrong := quotaEntity(in.Entity)
	if wrong != "" {
		return invalid("%s", wrong)
	}
	if entity.IP.Kind != placement.Nobody {
		// A quota that is taken must be one that holds.
		return invalid("Quotas of addresses are not available: connections are limited by max.connections.per.ip")
	}
	change := catalog.QuotaChange{Entity: entity}
	seen := map[string]bool{}
	for i := range in.Ops {
		op := &in.Ops[i]
		whole, known := clientQuotas[op.Key]
		switch {
		case seen[op.Key]:
			return invalid("Duplicate quota key %s", op.Key)
		case op.Remove:
		case !known:
			return invalid("Invalid configuration key %s", op.Key)
		case !(op.Value > 0):
			return invalid("Quota %s must be greater than 0", op.Key)
		case op.Value > math.MaxInt64 && whole, op.Value > math.MaxFloat64:
			return invalid("Proposed value for %s is too large", op.Key)
		case whole && op.Value-math.Trunc(op.Value) > 1e-6:
			return invalid("%s cannot be a fractional value.", op.Key)
		}
		seen[op.Key] = true
		if known { // to remove what never was changes nothing
			change.Ops = append(change.Ops, catalog.QuotaOp{Key: op.Key, Value: op.Value, Remove: op.Remove})
		}
	}
	return change, nil
}

func quotaEntity(parts []kmsg.AlterClientQuotasRequestEntryEntity) (e placement.Entity, wrong string) {
	if len(parts) == 0 {
		return e, "Invalid empty client quota entity"
	}
	for i := range parts {
		who := placement.Who{Kind: placement.Default}
		if name := parts[i].Name; name != nil {
			who = placement.Who{Kind: placement.Named, Name: strings.Clone(*name)}
			switch {
			case *name == "":
				return e, "Empty " + parts[i].Type + " not supported"
			case len(*name) > catalog.ResourceNameMax:
				return e, fmt.Sprintf("a name of %d bytes; an entity of quotas may have %d", len(*name), catalog.ResourceNameMax)
			}
		}
		switch parts[i].Type {
		case quotaUser:
			e.User = who
		case quotaClient:
			e.Client = who
		case quotaIP:
			e.IP = who
		default:
			return e, "Unhandled client quota entity type: " + parts[i].Type
		}
	}
	return e, ""
}
