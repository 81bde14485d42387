package peer

import (
	"context"
	_ "embed" // of pom.xml
	"errors"
	"fmt"

	"pinion/bench/shelf"
)

// Version is the Apache Kafka that pom.xml names.
const Version = "4.3.1"

//go:embed pom.xml
var pom []byte

// ErrMissing is wrapped where Java, Maven or the jars are not there and cannot be had.
var ErrMissing = errors.New("Apache Kafka is not there")

// Jars is the folder of Kafka's jars in the user's cache, filled by Maven at the first call.
func Jars(ctx context.Context) (string, error) {
	dir, err := shelf.Jars("kafka", pom).Get(ctx, true)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return dir, nil
}

// installed reports whether the jars are in the cache.
func installed() bool { return shelf.Jars("kafka", pom).Have() }
