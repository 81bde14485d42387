package api

import "pinion/net/conn"

// operation is what a request wants to do (Kafka's AclOperation).
type operation uint8

const (
	opRead operation = iota
	opWrite
	opCreate
	opDelete
	opDescribe
	opIdempotentWrite
)

// resource is what it wants to do it to (Kafka's ResourceType).
type resource uint8

const (
	onTopic resource = iota
	onCluster
)

// allowed is the one access check of every handler. Without an authorizer everything is allowed, as in Kafka.
func (d *Desk) allowed(*conn.Request, operation, resource, string) bool { return true }
