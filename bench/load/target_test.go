package load

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

// interrupting ends a context when the broker has answered CreateTopics.
type interrupting struct{ cancel func() }

func (i interrupting) OnBrokerRead(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.CreateTopics) {
		i.cancel()
	}
}

// Ctrl-C while topics are made leaves none behind.
func TestAnInterruptedCreateLeavesNoTopic(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 1})
	ctx, cancel := context.WithCancel(t.Context())
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.WithHooks(interrupting{cancel}))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := Create(ctx, client, "some-topic", 3, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not interrupted: %v", err)
	}
	topics, err := kadm.NewClient(client).ListTopics(t.Context())
	if err != nil || len(topics) != 0 {
		t.Errorf("%v are left, %v", topics.Names(), err)
	}
}
