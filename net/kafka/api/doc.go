// Package api serves Kafka's requests: one file per API key, each opening with what the API promises and what changed by
// version. A Desk belongs to one home shard; it splits a request into asks to the shards that own the partitions and puts the
// answers together. Produce and Fetch allocate nothing per request in steady state; every other key is decoded by kmsg, after
// wire.Walk has bounded what that may allocate.
//
// Inner outcomes become Kafka error codes in errors.go and nowhere else. Every handler asks Desk.allowed before it touches a
// resource; today the answer is yes.
package api
