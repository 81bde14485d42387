package load

import (
	"fmt"
	"math/rand/v2"
	"time"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

// Shape is what one batch looks like.
type Shape struct {
	Records     int
	RecordBytes int // of a record's value
	Codec       codec.Codec
	// RandomRatio is how much of a value is random; the rest is zeros. OpenMessaging Benchmark's default of a half compresses
	// about two to one. Without a codec it changes nothing.
	RandomRatio float64
}

// String is as people say it: 64 x 1024 B lz4.
func (s Shape) String() string {
	text := fmt.Sprintf("%d x %d B", s.Records, s.RecordBytes)
	if s.Codec != codec.None {
		text += " " + s.Codec.String()
	}
	return text
}

// Payload is the bytes of the values: what producers mean by throughput.
func (s Shape) Payload() int { return s.Records * s.RecordBytes }

func (s Shape) valid() error {
	switch {
	case s.Records < 1 || s.RecordBytes < 1:
		return fmt.Errorf("a batch of %d records of %d bytes", s.Records, s.RecordBytes)
	case s.RecordBytes > payloadMax/s.Records: // not the product, which may overflow
		return fmt.Errorf("a batch of %s; at most %d bytes", s, payloadMax)
	case s.RandomRatio < 0 || s.RandomRatio > 1:
		return fmt.Errorf("a random part of %v; want 0 to 1", s.RandomRatio)
	}
	return nil
}

// payloadMax bounds a batch: what Kafka accepts after its broker was told to.
const payloadMax = 64 << 20

// producer is the identity of an idempotent producer; the zero value is none.
type producer struct {
	on    bool
	id    int64
	epoch int16
}

// build makes the batch. Values of one seed are the same in every run.
func (s Shape) build(seed uint64, who producer, now time.Time) ([]byte, error) {
	random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), 1})
	b := batch.NewBuilder()
	b.Codec = s.Codec
	if who.on {
		b.ProducerID, b.ProducerEpoch, b.BaseSequence = who.id, who.epoch, 0
	}
	value := make([]byte, s.RecordBytes)
	part := int(float64(s.RecordBytes) * s.RandomRatio)
	for range s.Records {
		_, _ = random.Read(value[:part])
		b.Add(now.UnixMilli(), nil, value)
	}
	return b.Append(nil)
}

// Batch is one batch of the shape, as a producer without identity sends it.
func (s Shape) Batch() ([]byte, error) {
	if err := s.valid(); err != nil {
		return nil, err
	}
	return s.build(1, producer{}, time.Now())
}
