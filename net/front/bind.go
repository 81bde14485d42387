package front

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/net/listen"
)

// runTries bounds how often another port is asked of the kernel because those behind it are not free.
const runTries = 100

// bind opens one listener: the port that deals to all shards, and where cores are brokers the run of ports behind it, one for each. Where
// the kernel chooses the port, it is asked until the run is free as well.
func (f *Front) bind(cfg *config.Broker, l config.Listener, shards int) (*listen.Listener, []*listen.Listener, error) {
	for tries := 1; ; tries++ {
		opened, err := listen.Open(spec(cfg, l.Host, int(l.Port), shards))
		if err != nil {
			return nil, nil, explain(l, err)
		}
		if f.Naming == placement.NodesAreBrokers {
			return opened, nil, nil
		}
		cores, err := bindCores(cfg, l, opened.Port(), shards)
		if err == nil {
			return opened, cores, nil
		}
		if closing := opened.Close(); closing != nil {
			return nil, nil, errors.Join(err, closing)
		}
		if l.Port != 0 || tries == runTries {
			return nil, nil, err
		}
	}
}

// bindCores opens the ports of the cores, or none of them.
func bindCores(cfg *config.Broker, l config.Listener, port, shards int) ([]*listen.Listener, error) {
	cores := make([]*listen.Listener, 0, shards)
	base := placement.Listener{Port: int32(port)}
	for shard := range model.ShardID(shards) {
		at := int(base.Core(shard).Port)
		opened, err := listen.Open(spec(cfg, l.Host, at, 1))
		if err == nil {
			cores = append(cores, opened)
			continue
		}
		if errors.Is(err, unix.EADDRINUSE) {
			err = fmt.Errorf("another process has the port; cores as brokers (pinion.advertise=core) need %d to %d beside %d: stop it, "+
				"or choose others with --set listeners=%s://%s:PORT", port+1, port+shards, port, l.Name, l.Host)
		}
		return nil, errors.Join(fmt.Errorf("listen on port %d for shard %d of %s: %w", at, shard, l, err), closeAll(cores))
	}
	return cores, nil
}

func spec(cfg *config.Broker, host string, port, shards int) listen.Spec {
	return listen.Spec{Host: host, Port: port, Shards: shards, Backlog: int(cfg.SocketBacklog),
		ReceiveBuffer: int(cfg.SocketReceiveBufferBytes), SendBuffer: int(cfg.SocketSendBufferBytes)}
}

// explain says what to do about an address that is taken.
func explain(l config.Listener, err error) error {
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("listen on %s: another process has the port; stop it, or choose another with --set listeners=%s://%s:PORT", l, l.Name, l.Host)
	}
	return fmt.Errorf("listen on %s: %w", l, err)
}

func closeAll(list []*listen.Listener) error {
	var err error
	for _, l := range list {
		err = errors.Join(err, l.Close())
	}
	return err
}
