package logdir

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"pinion/disk/device"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// fence ends a log directory: after a write or a sync of accepted bytes has failed, nothing in it is acknowledged any more, by no shard.
// The kernel may have marked the lost pages clean, so that trying again would succeed and mean nothing. The zero value is ready.
type fence struct {
	err     atomic.Pointer[error] // orders nothing: an acknowledgement that is under way was due before
	tenants sync.Map              // model.ShardID -> Tenant
	told    atomic.Pointer[func(*Directory)]
}

// Tenant is one shard's share of a directory.
type Tenant interface {
	// Evict is told, on its shard, that the directory is out of service.
	Evict(t *shard.Turn, d *Directory, err error)
}

// Fenced is why the directory is out of service, or nil. Any thread may ask.
func (d *Directory) Fenced() error {
	if err := d.fence.err.Load(); err != nil {
		return *err
	}
	return nil
}

// SyncAll makes everything in the directory's file system durable, for one caller at a time: the others are told that it is busy, and ask again. The kernel
// tells of what it could not store once for each file it is asked by, and of this one all shards ask: where it has failed once it fails for all, for good.
func (d *Directory) SyncAll() (busy bool, err error) {
	if !d.syncing.CompareAndSwap(false, true) {
		return true, nil
	}
	defer d.syncing.Store(false)
	if d.unsynced == nil {
		d.unsynced = d.Dir.SyncAll()
	}
	return false, d.unsynced
}

// Let has the shard of this turn told when the directory is fenced.
func (d *Directory) Let(t *shard.Turn, tenant Tenant) { d.fence.tenants.Store(t.Shard(), tenant) }

// Tell has f called once when the directory is fenced, on whatever thread that happens; it must not wait.
func (d *Directory) Tell(f func(*Directory)) { d.fence.told.Store(&f) }

// Fence takes the directory out of service, with every partition of every shard in it.
func (d *Directory) Fence(t *shard.Turn, err error, logger *slog.Logger) {
	if !d.fence.err.CompareAndSwap(nil, &err) {
		return
	}
	if logger != nil {
		logger.Error("log directory fenced: nothing in it is acknowledged any more; repair the disk and start again", "directory", d.Name, "err", err)
	}
	if d.Journal != nil {
		d.Journal.End(err)
	}
	t.HelpBulk(newTestament(d.Dir, t.Now().Wall, err))
	d.fence.tenants.Range(func(id, tenant any) bool {
		t.Ask(id.(model.ShardID), &fenced{tenant: tenant.(Tenant), directory: d, err: err})
		return true
	})
	if told := d.fence.told.Load(); told != nil {
		(*told)(d)
	}
}

// Doubt fences the directory where an error that is nobody's loss by itself is that of a folder's sync: others have names in that folder, and no later sync
// would say that they are lost.
func (d *Directory) Doubt(t *shard.Turn, err error, logger *slog.Logger) {
	if names := (*device.FolderError)(nil); errors.As(err, &names) {
		d.Fence(t, err, logger)
	}
}

// fenced is mail to a tenant of a directory that was fenced.
type fenced struct {
	shard.Letter
	tenant    Tenant
	directory *Directory
	err       error
}

// Deliver tells it.
func (m *fenced) Deliver(t *shard.Turn) { m.tenant.Evict(t, m.directory, m.err) }

// failure is what the node says of it: which directory, and why.
func (d *Directory) failure() error {
	err := d.Fenced()
	if err == nil || d.Missing() {
		return err
	}
	return fmt.Errorf("log directory %s: %w", d.Name, err)
}
