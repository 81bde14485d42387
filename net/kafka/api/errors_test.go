package api

import (
	"testing"

	"pinion/engine/partition"
	"pinion/net/kafka/wire"
)

// An acknowledgement that did not come within the request's timeout is REQUEST_TIMED_OUT, as Kafka's DelayedProduce answers: nothing is known of too few
// replicas, and whoever reads the producer's log should look at the disk.
func TestLateAcknowledgementIsATimeout(t *testing.T) {
	if got := partitionError(partition.TimedOut); got != wire.CodeRequestTimedOut {
		t.Errorf("%v", got)
	}
}
