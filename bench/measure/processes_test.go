package measure

import (
	"io"
	"net"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// A client that was told of a proxy measures the broker behind it.
func TestProcessesAreTheBrokers(t *testing.T) {
	b := harness.Run(t, harness.Config{Shards: 1})
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	go func() {
		for {
			c, err := proxy.Accept()
			if err != nil {
				return
			}
			go forward(c, b.Addr)
		}
	}()
	client, err := kgo.NewClient(kgo.SeedBrokers(proxy.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	pids, err := Processes(t.Context(), kadm.NewClient(client))
	if err != nil || len(pids) != 1 || pids[0] != b.Pid {
		t.Errorf("%v, %v; want %d", pids, err, b.Pid)
	}
}

func forward(c net.Conn, to string) {
	defer c.Close()
	s, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer s.Close()
	go func() { _, _ = io.Copy(s, c) }() // ends with the connection
	_, _ = io.Copy(c, s)
}
