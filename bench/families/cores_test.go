package families

import (
	"slices"
	"testing"

	"pinion/bench/harness"
)

// coreFamilies are the clients of the short test: Java's and librdkafka's, which most others are made of; franz-go checks what they did.
var coreFamilies = []string{"java", "confluent-kafka"}

// TestFamiliesMeetCores is what each client does with a broker whose shards are brokers: records sent and read by others, and topics
// administered. The whole kit does it with CLIENTS_ADVERTISE=core.
func TestFamiliesMeetCores(t *testing.T) {
	if cores {
		t.Skip("every test of this run meets cores")
	}
	before, roll, agents := broker, roster, work.agents
	broker, work.agents = harness.Run(t, harness.Config{Shards: brokerShards, Cores: true}), map[*family]*started{}
	defer func() {
		dismiss()
		broker, roster, work.agents = before, roll, agents
	}()
	roster = nil
	for _, f := range roll {
		if slices.Contains(coreFamilies, f.name) {
			one := *f
			one.codecs = one.codecs[len(one.codecs)-1:]
			roster = append(roster, &one)
		}
	}
	sent, read, steps := tally.sent.Load(), tally.read.Load(), tally.steps.Load()
	t.Run("records", TestFamiliesReadWhatOthersSent)
	t.Run("topics", TestFamiliesAdministerTopics)
	t.Run("auto", TestFamiliesCreateTopicsBySending)
	t.Logf("cores as brokers: %d records sent, %d read back, %d steps of administration by %v",
		tally.sent.Load()-sent, tally.read.Load()-read, tally.steps.Load()-steps, coreFamilies)
}
