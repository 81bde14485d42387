package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"pinion/disk/device"
	"pinion/disk/identity"
	"pinion/engine/broker"
	"pinion/engine/clock"
	"pinion/engine/config"
	httpadmin "pinion/net/admin"
	"pinion/net/front"
)

const (
	// drainMax is how long requests already begun may take once the broker is told to stop.
	drainMax = 10 * time.Second
	// closeMax is how long syncing the logs may take after that.
	closeMax = 5 * time.Minute
	// procsSpare is how many processors of the runtime there are beside the shards': for the journal's clerk, helpers, the controller, the collector.
	// With none idle the runtime's monitor takes those that are in a system call away, and wakes every 20 us to do so.
	procsSpare = 4
)

// serve runs the node until ctx ends.
func serve(ctx context.Context, cfg *config.Broker, logger *slog.Logger, out io.Writer) error {
	began := time.Now()
	b, err := broker.Open(cfg, logger)
	if err != nil {
		return refused(err)
	}
	setProcs(b.Shards.Len())
	setCollector(ctx)
	doors, err := front.Listen(cfg, b.Shards.Len())
	if err != nil {
		return errors.Join(err, b.Abandon())
	}
	ready := httpadmin.NewReadiness("recovery", "listeners")
	server, err := serveAdmin(cfg, b, doors, ready)
	if err != nil {
		return errors.Join(err, doors.Close(), b.Abandon())
	}
	adminURL := ""
	if server != nil {
		defer server.Close()
		adminURL = server.URL()
	}
	control, stopControl := context.WithCancel(context.Background())
	defer stopControl()
	ended := make(chan error, 1)
	go func() { ended <- b.RunControl(control) }()

	if err := b.Start(ctx, doors.Advertised); err != nil {
		stopControl()
		<-ended
		return errors.Join(err, doors.Close(), b.Abandon())
	}
	if err := doors.Open(b, adminURL, logger); err != nil {
		stopControl()
		<-ended
		return errors.Join(err, doors.Close(), b.Abandon())
	}
	opened, err := b.Behind() // a node with little to open is ready when it says so
	if err != nil {
		return errors.Join(fmt.Errorf("recovery: %w", err), shutDown(b, doors, stopControl, ended, logger))
	}
	ready.Set("recovery", opened, "")
	ready.Set("listeners", true, "")
	logDealing(logger, doors)
	banner(out, cfg, b, doors, adminURL, time.Since(began))
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady+"\nSTATUS="+status(b))
	beating, silence := context.WithCancel(context.Background())
	defer silence() // the shards close their logs before, which may take its time
	go beat(beating, b.Shards)

	err = tend(ctx, b, cfg, ended, opened, func() {
		ready.Set("recovery", true, "")
		if took := time.Since(began); took > behindTold {
			logger.Info("all partitions are open", "after", took.Round(time.Millisecond))
		}
	}, logger)
	ready.Set("listeners", false, "draining")
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	return errors.Join(err, shutDown(b, doors, stopControl, ended, logger))
}

// behindTold is how long opening all partitions takes before it is worth a word.
const behindTold = 2 * time.Second

// surveyEvery is how often the room in the log directories is looked at, to place new partitions by.
const surveyEvery = 5 * time.Second

// tend waits for the end, storing recovery points now and then. Unless all partitions found at the start are open already, it has them opened, and
// calls done once.
func tend(ctx context.Context, b *broker.Broker, cfg *config.Broker, ended chan error, opened bool, done func(), logger *slog.Logger) error {
	const look = 20 * time.Millisecond
	behind := time.NewTicker(look)
	defer behind.Stop()
	if opened {
		behind.Stop()
	}
	checkpoint := time.NewTicker(max(time.Second, cfg.RecoveryPointInterval))
	defer checkpoint.Stop()
	survey := time.NewTicker(surveyEvery)
	defer survey.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			ended <- nil
			return fmt.Errorf("controller stopped: %w", err)
		case <-behind.C:
			opened, err := b.Behind()
			if err != nil {
				return fmt.Errorf("recovery: %w", err)
			}
			if opened {
				done()
				behind.Stop()
			}
		case <-survey.C:
			b.Survey()
			if err := b.SettleLate(); err != nil {
				return fmt.Errorf("recovery: %w", err)
			}
		case <-checkpoint.C:
			if err := b.Checkpoint(); err != nil {
				logger.Error("recovery points not stored", "err", err)
			}
		}
	}
}

// shutDown drains connections, closes the logs and ends the controller, in this order.
func shutDown(b *broker.Broker, doors *front.Front, stopControl func(), ended chan error, logger *slog.Logger) error {
	began := time.Now()
	logger.Info("stopping: no new connections, requests already begun are answered")
	drain, cancel := context.WithTimeout(context.Background(), drainMax)
	doors.Drain(drain)
	cancel()
	stopControl()
	err := <-ended
	closing, cancel := context.WithTimeout(context.Background(), closeMax)
	defer cancel()
	err = errors.Join(err, b.Stop(closing), doors.Close())
	if err == nil {
		logger.Info("stopped", "after", time.Since(began).Round(time.Millisecond))
	}
	return err
}

// refused gives errors that another start cannot cure their exit code.
func refused(err error) error {
	var refusal *identity.Refusal
	if errors.As(err, &refusal) || errors.Is(err, device.ErrLocked) {
		return &failure{exitConfig, err}
	}
	return err
}

// serveAdmin starts the admin server, unless it is switched off.
func serveAdmin(cfg *config.Broker, b *broker.Broker, doors *front.Front, ready *httpadmin.Readiness) (*httpadmin.Server, error) {
	if cfg.Pinion.Admin == "" {
		return nil, nil
	}
	gauge := front.NewGauge(doors, b.Shards.Len())
	meter := httpadmin.NewMeter(httpadmin.MeterOptions{
		Version: version, Shards: b.Shards.Len(), Listener: doors.Advertised[0].Name, Dealing: doors.Rungs[0].Name,
		Clock: clock.Real{}, Stats: gauge.Stats, Cluster: gauge.Cluster, Groups: gauge.Groups,
	})
	return httpadmin.Serve(cfg.Pinion.Admin, adminSource{ready, meter, front.NewPlaces(doors), b})
}

// adminSource is readiness, metrics and places in one.
type adminSource struct {
	*httpadmin.Readiness
	*httpadmin.Meter
	*front.Places
	broker *broker.Broker
}

// Ready adds what the broker itself knows: how far recovery is, and whether its disk can be trusted.
func (a adminSource) Ready() []httpadmin.Check {
	checks := a.Readiness.Ready()
	for i := range checks {
		if done, all := a.broker.Recovered(); checks[i].Name == "recovery" && !checks[i].OK && all > 0 {
			checks[i].Detail = fmt.Sprintf("%d of %d partitions", done, all)
		}
	}
	if err, all := a.broker.Fenced(); err != nil {
		checks = append(checks, httpadmin.Check{Name: "log directory", OK: !all, Detail: err.Error()})
	}
	return checks
}

// collectAt is GOGC unless the environment says otherwise: the heap may grow by half before it is collected. What lives in it is mostly partitions
// and connections, and serving requests allocates next to nothing, so collecting twice as often costs little and a quarter of the memory is saved.
const collectAt = 50

// setProcs fixes GOMAXPROCS: the runtime would otherwise follow cgroup limits and stop the world to do so.
func setProcs(shards int) {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(shards + procsSpare)
	}
}

// setCollector has little memory used for what is garbage, until ctx ends. Who sets GOGC gets the runtime as it is.
func setCollector(ctx context.Context) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
		go beThrifty(ctx)
	}
}

func logDealing(logger *slog.Logger, doors *front.Front) {
	for i, rung := range doors.Rungs {
		attrs := []any{"listener", doors.Advertised[i].Name, "by", rung.Name}
		if rung.Why != "" {
			attrs = append(attrs, "why", rung.Why)
		}
		logger.Info("connections are dealt", attrs...)
	}
}

func status(b *broker.Broker) string {
	return fmt.Sprintf("ready; %d shards on cpus %s", b.Shards.Len(), cpuList(b.CPUs))
}
