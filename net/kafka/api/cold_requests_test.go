package api

import (
	"testing"

	"pinion/net/kafka/wire"
)

// Every key that is served, but for the two that have views, has a request to decode into, and it is that key's.
func TestEveryColdKeyHasARequest(t *testing.T) {
	for i := range wire.Keys {
		key := wire.Keys[i].Key
		if key == wire.KeyProduce || key == wire.KeyFetch {
			continue
		}
		if req := newRequest(key); req == nil || req.Key() != key {
			t.Errorf("%s: %T", wire.Keys[i].Name, req)
		}
	}
	if newRequest(-1) != nil || newRequest(wire.KeyProduce) != nil {
		t.Error("keys that are not cold have requests")
	}
}
