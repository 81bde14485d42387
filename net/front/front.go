// Package front opens a broker's doors to clients: listeners, the dealing of connections, and on each shard a hub of connections
// and a desk that serves their requests. It owns the order of opening and draining, and nothing else.
package front

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"pinion/engine/broker"
	"pinion/engine/config"
	"pinion/engine/loggers"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/quota"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/api"
	"pinion/net/listen"
	"pinion/net/steer"
)

// Front is the doors of one node.
type Front struct {
	Listeners  []*listen.Listener
	Advertised []placement.Listener
	Rungs      []steer.Rung         // how each listener's connections are dealt
	Cores      [][]*listen.Listener // by listener and shard: the port of one core, where cores are brokers; else nil
	Naming     placement.Naming
	Limits     *listen.Limits

	stallMax time.Duration // conn.Options.StallMax; only tests set it
	stay     bool          // connections stay where they were accepted; only tests say so
	closers  []io.Closer
	hubs     []*conn.Hub
	desks    []*api.Desk
	broker   *broker.Broker
	opened   atomic.Bool // orders the fields above with readers on other goroutines
}

// Listen binds every listener, one socket for each shard, and where cores are brokers the port of each. No connection is accepted yet;
// clients that come early wait.
func Listen(cfg *config.Broker, shards int) (*Front, error) {
	f := &Front{}
	if cfg.Pinion.Cores() {
		f.Naming = placement.CoresAreBrokers
		if err := cfg.CheckCores(shards); err != nil {
			return nil, err
		}
	}
	limits, err := listen.NewLimits(int(cfg.ConnectionsMax), int(cfg.ConnectionsPerIPMax), perIP(cfg))
	if err != nil {
		return nil, err
	}
	limits.Rate = quota.NewRate(cfg.Quotas)
	limits.Rate.Set(cfg.ConnectionsRateMax)
	f.Limits = limits
	for i, l := range cfg.Listeners {
		opened, cores, err := f.bind(cfg, l, shards)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		f.Listeners, f.Cores = append(f.Listeners, opened), append(f.Cores, cores)
		rung, closer, err := steer.Attach(opened.FDs)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("deal connections of %s: %w", l, err), f.Close())
		}
		f.Rungs = append(f.Rungs, rung)
		f.closers = append(f.closers, closer)
		f.Advertised = append(f.Advertised, advertise(cfg.Advertised[i], opened))
	}
	return f, nil
}

func perIP(cfg *config.Broker) map[string]int {
	m := make(map[string]int, len(cfg.ConnectionsPerIP))
	for host, n := range cfg.ConnectionsPerIP {
		m[host] = int(n)
	}
	return m
}

// advertise is what Metadata tells clients: the configured name, with the real port where the kernel chose it.
func advertise(l config.Listener, opened *listen.Listener) placement.Listener {
	out := placement.Listener{Name: l.Name, Host: l.Host, Port: l.Port}
	if out.Port == 0 {
		out.Port = int32(opened.Port())
	}
	if out.Host == "" {
		out.Host = hostName()
	}
	return out
}

// Open starts accepting on every shard of a started broker.
func (f *Front) Open(b *broker.Broker, adminURL string, logger *slog.Logger) error {
	f.broker = b
	node := &api.Node{ID: b.Config.NodeID, Naming: f.Naming, Broker: b.Live, Control: b.Control, Sets: b.Sets, Directories: b.Directories, Coordinators: b.Groups, Log: loggers.Part(logger, loggers.API)}
	node.Book = quota.NewBook(b.Config.Quotas)
	b.Watch(func(cfg *config.Broker) {
		f.Limits.Rate.Set(cfg.ConnectionsRateMax)
		f.Limits.Set(int(cfg.ConnectionsMax), int(cfg.ConnectionsPerIPMax), perIP(cfg), func(err error) {
			logger.Error("limits of connections stay as they are", "err", err)
		})
	})
	options := conn.Options{
		RequestBytesMax: int(b.Config.SocketRequestBytesMax),
		RequestBudget:   b.Config.Pinion.RequestBytes,
		ResponseBudget:  b.Config.Pinion.ResponseBytes,
		IdleMax:         b.Config.ConnectionsIdleMax,
		StallMax:        f.stallMax,
		Limits:          f.Limits,
		ConnectionsRoom: b.ConnectionsRoom(),
		AdminURL:        adminURL,
		Log:             loggers.Part(logger, loggers.Connections),
	}
	if !f.stay {
		options.Crowd = conn.NewCrowd(b.Shards)
	}
	f.hubs = make([]*conn.Hub, b.Shards.Len())
	f.desks = make([]*api.Desk, b.Shards.Len())
	var failure error
	for i := range f.hubs {
		s := b.Shards.Shard(model.ShardID(i))
		<-s.Visit(func(t *shard.Turn) {
			f.desks[i] = api.NewDesk(t, s, node)
			f.hubs[i] = conn.NewHub(t, options, f.desks[i])
			s.AtEnd(f.hubs[i])
			for j, l := range f.Listeners {
				a := f.Advertised[j]
				e := conn.Endpoint{Name: a.Name, FD: l.FDs[i], Advertised: a.Name + "://" + address(a)}
				failure = errors.Join(failure, f.hubs[i].Listen(t, e))
				if f.Cores[j] != nil {
					core := a.Core(model.ShardID(i))
					e = conn.Endpoint{Name: a.Name, FD: f.Cores[j][i].FDs[0], Core: true, Advertised: a.Name + "://" + address(core)}
					failure = errors.Join(failure, f.hubs[i].Listen(t, e))
				}
			}
		})
	}
	f.opened.Store(failure == nil)
	return failure
}

func (f *Front) isOpen() bool { return f.opened.Load() }

// brokerNow is the broker, once the doors are open.
func (f *Front) brokerNow() *broker.Broker {
	if !f.isOpen() {
		return nil
	}
	return f.broker
}

// Drain stops accepting, lets requests already begun be answered, and closes every connection, at the latest when ctx ends.
func (f *Front) Drain(ctx context.Context) {
	f.opened.Store(false)
	for i := range f.hubs {
		<-f.shard(i).Visit(f.hubs[i].Drain)
		<-f.shard(i).Visit(f.broker.Groups[i].Drain)
	}
	for ctx.Err() == nil && !f.drained() {
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	for i := range f.hubs {
		<-f.shard(i).Visit(f.hubs[i].CloseAll)
	}
}

func (f *Front) drained() bool {
	done := true
	for i := range f.hubs {
		<-f.shard(i).Visit(func(t *shard.Turn) { done = done && f.hubs[i].Drained(t) })
	}
	return done
}

func address(l placement.Listener) string { return net.JoinHostPort(l.Host, strconv.Itoa(int(l.Port))) }

func (f *Front) shard(i int) *shard.Shard { return f.broker.Shards.Shard(model.ShardID(i)) }

// Close closes the listeners.
func (f *Front) Close() error {
	var err error
	for _, c := range f.closers {
		err = errors.Join(err, c.Close())
	}
	for _, l := range f.Listeners {
		err = errors.Join(err, l.Close())
	}
	for _, cores := range f.Cores {
		err = errors.Join(err, closeAll(cores))
	}
	return err
}
