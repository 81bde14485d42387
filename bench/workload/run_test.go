package workload

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// brief is a workload that one broker holds easily, for a moment.
func brief(b *harness.Broker) (*Workload, Options) {
	return &Workload{Topics: 1, PartitionsPerTopic: 2, MessageSize: 100, ProducersPerTopic: 1, ProducerRate: 1000},
		Options{Clients: Clients{Brokers: []string{b.Addr}, Acks: 1, BatchBytes: 1 << 20, FetchBytes: 1 << 20, Codec: kgo.NoCompression()},
			Duration: 100 * time.Millisecond}
}

// What senders do not get to in the time is unanswered; a rate that is held leaves nothing.
func TestEverythingDueIsAccountedFor(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 1})
	w, o := brief(b)
	out, err := Run(t.Context(), w, o)
	if err != nil || out.Unanswered != 0 || out.Total.Sent.Records == 0 {
		t.Errorf("a rate that is held: %+v, %d unanswered, %v", out.Total.Sent, out.Unanswered, err)
	}
	w.ProducerRate = 1e8
	o.Grace = time.Millisecond
	if out, err = Run(t.Context(), w, o); err != nil {
		t.Fatal(err)
	}
	answered := int64(0)
	if out.Total.Latency != nil {
		answered = out.Total.Latency.TotalCount()
	}
	// Senders begin a little after the time does; a tenth of what is due is far more than they can send.
	if due := int64(w.ProducerRate * o.Duration.Seconds()); answered+out.Unanswered < due/10 {
		t.Errorf("%d were answered and %d were not, of %d", answered, out.Unanswered, due)
	}
}
