package api

import "pinion/net/conn"

// operation is what a request wants to do, in the numbers of Kafka's AclOperation.
type operation uint8

// The operations handlers ask for. Fixed by the protocol.
const (
	opRead            operation = 3
	opWrite           operation = 4
	opCreate          operation = 5
	opDelete          operation = 6
	opAlter           operation = 7
	opDescribe        operation = 8
	opClusterAction   operation = 9
	opDescribeConfigs operation = 10
	opAlterConfigs    operation = 11
	opIdempotentWrite operation = 12
)

// resource is what it wants to do it to (Kafka's ResourceType).
type resource uint8

const (
	onTopic resource = iota
	onCluster
	onGroup
)

// supported is what can be done to each kind of resource (org.apache.kafka.security.authorizer.AclEntry).
var supported = [...][]operation{
	onTopic:   {opRead, opWrite, opCreate, opDelete, opAlter, opDescribe, opDescribeConfigs, opAlterConfigs},
	onGroup:   {opRead, opDelete, opDescribe, opDescribeConfigs, opAlterConfigs},
	onCluster: {opCreate, opAlter, opDescribe, opClusterAction, opDescribeConfigs, opAlterConfigs, opIdempotentWrite},
}

// allowed is the one access check of every handler. Without an authorizer everything is allowed, as in Kafka.
func (d *Desk) allowed(*conn.Request, operation, resource, string) bool { return true }

// describesAll reports whether a client may see every topic, and do to each the same as to all others. Where an authorizer could tell topics
// apart it says no, and large answers are then filtered topic by topic.
func (d *Desk) describesAll(*conn.Request) bool { return true }

// operations is the set of what a client may do to a resource, one bit for each (KIP-430).
func (d *Desk) operations(r *conn.Request, on resource, name string) int32 {
	bits := int32(0)
	for _, op := range supported[on] {
		if d.allowed(r, op, on, name) {
			bits |= 1 << op
		}
	}
	return bits
}
