package front

import (
	"testing"
	"time"
)

// TestAnOwnerThatIsBehindIsNoError: a poll's deadline passes while one of its owners is busy with something else. What Kafka would
// answer is what there is; an error code would be shown to users by clients such as sarama.
func TestAnOwnerThatIsBehindIsNoError(t *testing.T) {
	n := startNode(t, 2)
	topic := n.create("behind", 2, nil)
	near, far := n.on(topic, 0), n.on(topic, 1)
	writer := n.dial()
	small := records(3, 1, 100)
	writer.produced(at{topic: topic, index: near, records: small})
	writer.produced(at{topic: topic, index: far, records: small})
	reader := n.dialHome(0)
	for _, least := range []int32{0, 1, 1 << 20} {
		for _, wait := range []time.Duration{0, 20 * time.Millisecond} {
			resume := n.halt(1)
			req := fetchRequest(wait, least, 1<<20, at{topic: topic, index: near, max: 1 << 20}, at{topic: topic, index: far, max: 1 << 20})
			corr := reader.send(req, fetchVersion)
			time.Sleep(200 * time.Millisecond)
			resume()
			for _, p := range fetched(reader.receive(corr, req)) {
				if p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
					t.Errorf("at least %d bytes in %v: partition %d: error %d, %d bytes", least, wait, p.Partition, p.ErrorCode, len(p.RecordBatches))
				}
			}
		}
	}
}
