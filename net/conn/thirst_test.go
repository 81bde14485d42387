package conn

import (
	"encoding/binary"
	"testing"
	"time"

	"pinion/engine/shard"
)

// Whatever many connections hold that wait for more memory, in what they have received and in frames that are arriving, all of them go on in the end:
// nobody would give anything back but those who wait.
func TestThoseWhoWaitForMemoryDoNotHoldEachOtherUp(t *testing.T) {
	const rounds, bytes = 3, 600_000
	for name, first := range map[string]int{"frames": bytes, "frames of which little comes first": 20_000, "frames that are hardly begun": 7} {
		t.Run(name, func(t *testing.T) {
			s := startShard(t)
			handler := &calmer{}
			h := newHub(t, s, handler)
			defer on(t, s, h.CloseAll)
			frame := append(binary.BigEndian.AppendUint32(nil, bytes-4), 0, 0, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0) // a produce
			frame = append(frame, make([]byte, bytes-len(frame))...)
			const peers = 300
			for range peers {
				peer := joined(t, s, h)
				go func() {
					for range rounds {
						_, _ = peer.Write(frame[:first]) // what does not come is not begun
						if first < bytes {
							time.Sleep(50 * time.Millisecond)
							_, _ = peer.Write(frame[first:])
						}
					}
				}()
			}
			begun, used := uint64(0), int64(0)
			for end := time.Now().Add(patience); begun < peers*rounds; time.Sleep(10 * time.Millisecond) {
				on(t, s, func(*shard.Turn) { begun, used = h.stats.Requests[placeOf[0]], h.small.Used() })
				if time.Now().After(end) {
					t.Fatalf("%d of %d requests are begun; of %d bytes %d are used", begun, peers*rounds, h.small.Limit, used)
				}
			}
		})
	}
}
