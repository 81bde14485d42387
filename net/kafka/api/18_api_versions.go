package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// ApiVersions (key 18) names the keys and versions served; the list is wire.Keys and nothing else. The response header is always
// version 0. A version we do not know is answered in the form of version 0 with error 35 and the one key a client needs to try
// again. Version 3 adds the client's name and version, which must look like one (KIP-511); 4 may name features whose least level
// is 0. No feature is finalised yet.

func (d *Desk) apiVersions(t *shard.Turn, r *conn.Request, req *kmsg.ApiVersionsRequest) {
	resp := kmsg.NewPtrApiVersionsResponse()
	if r.Version >= 3 && (!isSoftware(req.ClientSoftwareName) || !isSoftware(req.ClientSoftwareVersion)) {
		resp.ErrorCode = int16(wire.CodeInvalidRequest)
		d.count(wire.CodeInvalidRequest)
		d.answer(t, r, resp)
		return
	}
	for i := range wire.Keys {
		resp.ApiKeys = append(resp.ApiKeys, versionsOf(&wire.Keys[i]))
	}
	d.answer(t, r, resp)
}

func (d *Desk) apiVersionsUnknown(t *shard.Turn, r *conn.Request) {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.ErrorCode = int16(wire.CodeUnsupportedVersion)
	resp.ApiKeys = append(resp.ApiKeys, versionsOf(wire.Lookup(wire.KeyAPIVersions)))
	d.count(wire.CodeUnsupportedVersion)
	r.Version = 0
	d.answer(t, r, resp)
}

func versionsOf(api *wire.API) kmsg.ApiVersionsResponseApiKey {
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = api.Key, api.AdvertiseMin, api.Max
	return k
}

// isSoftware is Kafka's pattern for client names and versions: [a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?
func isSoftware(s string) bool {
	if s == "" || !isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
