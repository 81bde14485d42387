package hostile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"pinion/bench/harness"
)

// Replay sends transcripts again, each over a connection of its own: a line of hex for each stream, as Wrong.Transcript writes it;
// lines that begin with # are prose. The broker is as Run wants it, without the topics.
func Replay(b *harness.Broker, transcripts ...string) error {
	keeper, err := dial(b.Addr)
	if err != nil {
		return err
	}
	defer keeper.conn.Close()
	ids, err := makeTopics(keeper)
	if err != nil {
		return err
	}
	for i, transcript := range transcripts {
		a := &attacker{number: i, addr: b.Addr, ids: ids, met: new(atomic.Int64)}
		if err := a.again(transcript); err != nil {
			return a.wrong(err)
		}
		if _, err := janitor(keeper); err != nil {
			return fmt.Errorf("after transcript %d: %w", i, err)
		}
	}
	return nil
}

// again sends one transcript whole, stream by stream, and half-closes if nobody has closed before.
func (a *attacker) again(transcript string) error {
	if err := a.connect(); err != nil {
		return err
	}
	defer a.drop()
	a.mutator.Rand = rand.New(rand.NewPCG(1, 1))
	for line := range strings.Lines(transcript) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		stream, err := hex.DecodeString(line)
		if err != nil {
			return fmt.Errorf("transcript: %w", err)
		}
		over, err := a.push(append(a.room(), stream...))
		if errors.Is(err, errClosed) {
			return nil
		}
		if over || err != nil {
			return err
		}
	}
	return a.halfClose()
}
