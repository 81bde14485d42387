package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// answerMax is the largest answer that can be honest here: the topics hold less.
const answerMax = 64 << 20

// wellFormed reads an answer, without length and correlation id, as kmsg does, and wants every byte accounted for.
func wellFormed(e expected, body []byte) error {
	resp := kmsg.ResponseForKey(e.key)
	version := e.version
	if api := wire.Lookup(e.key); e.key == wire.KeyAPIVersions && !api.Serves(version) {
		version = 0 // KIP-511
	}
	resp.SetVersion(version)
	if resp.IsFlexible() && e.key != wire.KeyAPIVersions {
		if len(body) == 0 || body[0] != 0 {
			return fmt.Errorf("%s v%d: no tagged fields in the header of the answer", wire.Lookup(e.key).Name, e.version)
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		return fmt.Errorf("%s v%d: answer of %d bytes: %w", wire.Lookup(e.key).Name, e.version, len(body), err)
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
		n := 0
		for n < min(len(again), len(body)) && again[n] == body[n] {
			n++
		}
		return fmt.Errorf("%s v%d: an answer of %d bytes says what takes %d; from byte %d on it is\n%x\nnot\n%x",
			wire.Lookup(e.key).Name, e.version, len(body), len(again), n, body[n:min(len(body), n+200)], again[n:min(len(again), n+200)])
	}
	return nil
}

// sessionOf is the id of a fetch session that an answer opened; 0 if it did not.
func sessionOf(e expected, body []byte) int32 {
	if e.key != wire.KeyFetch || e.version < 7 {
		return 0
	}
	if wire.Lookup(e.key).IsFlexible(e.version) {
		body = body[min(1, len(body)):]
	}
	const at = 6 // behind throttle time and error
	if len(body) < at+4 {
		return 0
	}
	return int32(binary.BigEndian.Uint32(body[at:]))
}
