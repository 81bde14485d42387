package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DescribeClientQuotas (key 48, KIP-546) shows the quotas whose entity fits a filter: each component of it wants a kind of name by name, by
// default, or at all; a strict filter wants no other kind beside. What is wrong with a filter is told for all. Version 1 is flexible.

// Kinds of names, and how a component matches. Fixed by the protocol.
const (
	quotaUser   = "user"
	quotaClient = "client-id"
	quotaIP     = "ip"

	matchExact   kmsg.QuotasMatchType = 0
	matchDefault kmsg.QuotasMatchType = 1
	matchAny     kmsg.QuotasMatchType = 2
)

// quotaFilter is what an entity has to be.
type quotaFilter struct {
	exact  map[string]placement.Who
	any    map[string]bool
	strict bool
}

func (d *Desk) describeClientQuotas(t *shard.Turn, r *conn.Request, req *kmsg.DescribeClientQuotasRequest) {
	resp := kmsg.NewPtrDescribeClientQuotasResponse()
	resp.ErrorMessage = new(string) // Kafka's is empty, not null
	r.FreeBody(t)
	filter, refusal := filterOf(req)
	if !d.allowed(r, opDescribeConfigs, onCluster, "") {
		refusal = &configRefusal{wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."}
	}
	if refusal != nil {
		resp.ErrorCode, resp.ErrorMessage = int16(refusal.code), &refusal.message
		d.count(refusal.code)
		d.answer(t, r, resp)
		return
	}
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{} // Kafka's null says that there was an error
	for q := range d.image().Quotas().Each {
		if filter.fits(&q.Entity) {
			resp.Entries = append(resp.Entries, describedQuota(&q))
		}
	}
	d.answer(t, r, resp)
}

func filterOf(req *kmsg.DescribeClientQuotasRequest) (*quotaFilter, *configRefusal) {
	f := &quotaFilter{exact: map[string]placement.Who{}, any: map[string]bool{}, strict: req.Strict}
	invalid := func(text string) (*quotaFilter, *configRefusal) {
		return nil, &configRefusal{wire.CodeInvalidRequest, text}
	}
	for i := range req.Components {
		c := &req.Components[i]
		_, twice := f.exact[c.EntityType]
		switch {
		case c.EntityType == "":
			return invalid("Invalid empty entity type.")
		case twice || f.any[c.EntityType]:
			return invalid("Entity type " + c.EntityType + " cannot appear more than once in the filter.")
		case c.EntityType != quotaUser && c.EntityType != quotaClient && c.EntityType != quotaIP:
			return nil, &configRefusal{wire.CodeUnsupportedVersion, "Unsupported entity type " + c.EntityType}
		case c.MatchType == matchExact && c.Match == nil:
			return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null.")
		case (c.MatchType == matchDefault || c.MatchType == matchAny) && c.Match != nil:
			return invalid("Request specified MATCH_TYPE_DEFAULT or MATCH_TYPE_SPECIFIED, but also specified a match string.")
		}
		switch c.MatchType {
		case matchExact:
			f.exact[c.EntityType] = placement.Who{Kind: placement.Named, Name: *c.Match}
		case matchDefault:
			f.exact[c.EntityType] = placement.Who{Kind: placement.Default}
		case matchAny:
			f.any[c.EntityType] = true
		default:
			return invalid("Unknown match type")
		}
	}
	if f.wants(quotaIP) && (f.wants(quotaUser) || f.wants(quotaClient)) {
		return invalid("Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.")
	}
	return f, nil
}

func (f *quotaFilter) wants(kind string) bool {
	_, exact := f.exact[kind]
	return exact || f.any[kind]
}

func (f *quotaFilter) fits(e *placement.Entity) bool {
	for kind, who := range map[string]placement.Who{quotaUser: e.User, quotaClient: e.Client, quotaIP: e.IP} {
		exact, named := f.exact[kind]
		switch {
		case named && exact != who, f.any[kind] && who.Kind == placement.Nobody:
			return false
		case f.strict && !named && !f.any[kind] && who.Kind != placement.Nobody:
			return false
		}
	}
	return true
}

func describedQuota(q *placement.Quota) kmsg.DescribeClientQuotasResponseEntry {
	entry := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, part := range entityParts(&q.Entity) {
		out := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		out.Type, out.Name = part.kind, part.name
		entry.Entity = append(entry.Entity, out)
	}
	for _, key := range quotaKeysOf(q.Values) {
		out := kmsg.NewDescribeClientQuotasResponseEntryValue()
		out.Key, out.Value = key, q.Values[key]
		entry.Values = append(entry.Values, out)
	}
	return entry
}
