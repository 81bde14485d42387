package many

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/bench/harness"
)

// flood is one request, encoded once, sent again and again on a connection, one at a time, as a member commits: so often a second, or as often as
// the broker answers where it is late. What requests of two kinds cost can be compared only at the same pace: a broker that is asked more
// often does more of it together.
type flood struct {
	frame   []byte
	failing func(answer []byte) int16 // the error an answer tells
}

// atCorrelation is where the correlation id stands in a frame.
const atCorrelation = 8

// floodOf encodes a request.
func floodOf(req kmsg.Request, version int16, failing func(answer []byte) int16) flood {
	req.SetVersion(version)
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("many"))
	return flood{format.AppendRequest(nil, req, 0), failing}
}

// burst is what floods came to.
type burst struct {
	requests int
	took     time.Duration
	cpu      time.Duration // of the broker
}

// perCPU is requests in a second of the broker's processor time.
func (b burst) perCPU() float64 { return float64(b.requests) / b.cpu.Seconds() }

func (b burst) String() string {
	return fmt.Sprintf("%.0f a second, %.0f in a second of broker processor time", float64(b.requests)/b.took.Seconds(), b.perCPU())
}

// pour sends each flood on a connection of its own, a request every pace, for so long after a warm-up of the same.
func pour(b *harness.Broker, floods []flood, pace time.Duration, warm, long time.Duration) (burst, error) {
	var wait sync.WaitGroup
	counts, failures := make([]int, len(floods)), make([]error, len(floods))
	start := time.Now()
	begin := start.Add(warm)
	end := begin.Add(long)
	for i, f := range floods {
		wait.Go(func() {
			counts[i], failures[i] = f.run(b.Addr, start.Add(pace*time.Duration(i)/time.Duration(len(floods))), begin, end, pace)
		})
	}
	time.Sleep(time.Until(begin))
	first, err := b.Usage()
	if err == nil {
		time.Sleep(time.Until(end))
	}
	last, err2 := b.Usage()
	wait.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return burst{sum, long, last.CPU() - first.CPU()}, errors.Join(append(failures, err, err2)...)
}

// run sends from next until end and counts what was answered since begin.
func (f flood) run(addr string, next, begin, end time.Time, pace time.Duration) (count int, err error) {
	conn, err := net.DialTimeout("tcp", addr, answerMax)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(end.Add(answerMax))
	frame, answer := append([]byte{}, f.frame...), make([]byte, 4<<10)
	for number := uint32(1); ; number++ {
		time.Sleep(time.Until(next))
		next = next.Add(pace)
		binary.BigEndian.PutUint32(frame[atCorrelation:], number)
		if _, err := conn.Write(frame); err != nil {
			return count, err
		}
		n, err := readFrame(conn, answer)
		if err != nil {
			return count, err
		}
		if got := binary.BigEndian.Uint32(answer); got != number {
			return count, fmt.Errorf("answer to request %d, want %d", got, number)
		}
		if code := f.failing(answer[:n]); code != 0 {
			return count, fmt.Errorf("request %d: error %d", number, code)
		}
		switch now := time.Now(); {
		case now.After(end):
			return count, nil
		case now.After(begin):
			count++
		}
	}
}
