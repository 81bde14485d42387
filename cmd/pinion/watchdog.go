package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"pinion/engine/model"
	"pinion/engine/shard"
)

// beat tells the service manager that the broker is alive, twice in the time in which it wants to hear so, until ctx ends: each time once every shard
// has made a turn since. Where one hangs nothing is said any more, and the manager ends the process. Without a manager that watches it does nothing.
func beat(ctx context.Context, shards *shard.Set) {
	within, err := daemon.SdWatchdogEnabled(false)
	if err != nil || within <= 0 {
		return
	}
	next := time.NewTicker(within / 2)
	defer next.Stop()
	for {
		for i := range shards.Len() {
			select {
			case <-shards.Shard(model.ShardID(i)).Visit(func(*shard.Turn) {}):
			case <-ctx.Done():
				return
			}
		}
		_, _ = daemon.SdNotify(false, daemon.SdNotifyWatchdog)
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
	}
}
