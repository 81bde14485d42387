package workload

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"time"
)

// stampBytes at the start of a payload say when the record was meant to be sent.
const stampBytes = 8

// payloads are the values that are sent in turn; each send copies one, because the stamp differs.
type payloads struct {
	pool [][]byte
	next int
}

func (w *Workload) payloads() (*payloads, error) {
	p := &payloads{}
	if !w.UseRandomizedPayloads {
		value := w.payload
		if value == nil {
			value = make([]byte, w.MessageSize)
		}
		p.pool = [][]byte{value}
		return p, nil
	}
	size := w.RandomizedPayloadPoolSize
	if size == 0 {
		size = poolDefault
	}
	size = max(1, min(size, poolBytesMax/w.MessageSize))
	random := int(float64(w.MessageSize) * w.RandomBytesRatio)
	for range size {
		value := make([]byte, w.MessageSize)
		if _, err := rand.Read(value[:random]); err != nil {
			return nil, fmt.Errorf("random payloads: %w", err)
		}
		p.pool = append(p.pool, value)
	}
	return p, nil
}

// take is the next value, stamped if there is room.
func (p *payloads) take(stamp int64) []byte {
	value := append([]byte(nil), p.pool[p.next%len(p.pool)]...)
	p.next++
	if len(value) >= stampBytes {
		binary.BigEndian.PutUint64(value, uint64(stamp))
	}
	return value
}

// stampOf reads the stamp of a record.
func stampOf(value []byte) (int64, bool) {
	if len(value) < stampBytes {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(value)), true
}

// keysCount is how many keys there are, as upstream has it.
const keysCount = 10_000

// keys gives the key of each record.
type keys struct {
	list   [][]byte
	random bool
	next   int
}

func (w *Workload) keys() (*keys, error) {
	if w.KeyDistributor == "NO_KEY" {
		return &keys{}, nil
	}
	k := &keys{random: w.KeyDistributor == "RANDOM_NANO"}
	raw := make([]byte, 6)
	for range keysCount {
		if _, err := rand.Read(raw); err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		k.list = append(k.list, []byte(base64.RawURLEncoding.EncodeToString(raw)))
	}
	return k, nil
}

func (k *keys) take() []byte {
	if len(k.list) == 0 {
		return nil
	}
	if k.random {
		return k.list[time.Now().UnixNano()%keysCount]
	}
	k.next++
	return k.list[k.next%keysCount]
}
