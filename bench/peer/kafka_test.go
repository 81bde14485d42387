package peer

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// answerMax bounds a start that takes four seconds on two cores that have nothing else to do.
const answerMax = 5 * time.Minute

// TestKafkaStartsAnswersAndStops starts a virtual machine, which takes seconds; it runs where the jars are there, or PEER_INSTALL=1 lets
// it fetch them.
func TestKafkaStartsAnswersAndStops(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a JVM twice")
	}
	if os.Getenv("PEER_INSTALL") != "1" && !installed() {
		t.Skip("Apache Kafka's jars are not in the cache; PEER_INSTALL=1 fetches them")
	}
	dir := t.TempDir()
	for range 2 { // the second time on what the first left
		k, err := Start(t.Context(), Config{Dir: dir})
		if errors.Is(err, ErrMissing) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), answerMax)
		if err := k.Listening(ctx); err != nil {
			t.Fatal(err)
		}
		client, err := kgo.NewClient(kgo.SeedBrokers(k.Address()))
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Ping(ctx); err != nil {
			t.Fatalf("%v\n%s", err, k.Log())
		}
		cancel()
		client.Close()
		if err := k.End(); err != nil {
			t.Fatal(err)
		}
	}
}
