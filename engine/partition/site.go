package partition

import (
	"pinion/engine/commit"
	"pinion/engine/logdir"
	"pinion/engine/model"
	"pinion/engine/mutant"
	"pinion/engine/shard"
)

// site is what a shard has of one log directory: its side of the journal there, and at a start and at the end what is written there and waits
// for a sync of everything.
type site struct {
	*logdir.Directory
	set    *Set
	scribe scribe

	replayTogether bool       // what the journal holds something of is made durable by one sync
	unsettled      []*openJob // recovered, and to be open when everything written is durable
	securing       bool       // a sync of what they wrote is away

	closingTogether bool        // logs are made durable by one sync as they close
	written         []*closeJob // closed, and durable when everything is
}

func newSite(t *shard.Turn, s *Set, d *logdir.Directory) *site {
	at := &site{Directory: d, set: s}
	at.scribe = scribe{site: at, journal: d.Journal, told: commit.Nothing}
	at.scribe.settled = d.Journal != nil && d.Journal.Settled()
	d.Let(t, at)
	return at
}

// siteOf is where the partitions lie that the catalogue has in a directory.
func (s *Set) siteOf(id model.DirectoryID) *site {
	if d := s.options.Directories.Of(id); d != nil && !(d.Missing() && mutant.On(mutant.MadeAnew)) {
		return s.sites[d.At]
	}
	return s.sites[s.options.Directories.Home.At]
}

// fence takes the directory out of service: bytes that were accepted could not be written or synced.
func (at *site) fence(t *shard.Turn, err error) { at.Fence(t, err, at.set.options.Log) }

// doubt fences the directory where an error of what is put away in it leaves others in doubt.
func (at *site) doubt(t *shard.Turn, err error) { at.Doubt(t, err, at.set.options.Log) }

// Evict takes the partitions in it offline.
func (at *site) Evict(t *shard.Turn, _ *logdir.Directory, err error) {
	for _, p := range at.set.all {
		if (p.site == at || mutant.On(mutant.FenceSpreads)) && p.state == open {
			p.fail(t, err)
		}
		if r := p.relocation; r != nil && r.to == at {
			r.fenced(t, err)
		}
	}
}
