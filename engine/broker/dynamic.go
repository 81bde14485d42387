package broker

import (
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
)

// clusterDefault stands for all brokers in the catalogue's dynamic configurations.
const clusterDefault model.NodeID = -1

// reconfigure puts the dynamic settings of an image in force. Shards read the newest configuration where they need it; what they have
// derived from an earlier one follows by mail.
func (b *Broker) reconfigure(image *placement.Image) {
	err := b.Live.Apply(image.BrokerConfigs(clusterDefault), image.BrokerConfigs(b.Config.NodeID))
	if err != nil {
		b.log.Error("dynamic settings ignored: they do not fit what the broker was started with", "err", err)
	}
	if b.known.Load() && b.Directories.Cordon(b.Live.Now().Cordoned) {
		b.offerDirectories()
	}
	if f := b.watch.Load(); f != nil {
		(*f)(b.Live.Now())
	}
}

// Watch has f called with the configuration in force, now and on the control goroutine whenever it changes, so f must not wait for
// anything. There is one watcher.
func (b *Broker) Watch(f func(*config.Broker)) {
	b.watch.Store(&f)
	f(b.Live.Now())
}
