// Package identity says whose a log directory is. It owns two files at the directory's root and nothing else:
//
//	.lock             held while a process works in the directory
//	meta.properties   text, Kafka's own file and keys, one key=value a line:
//
//	    version=1                 layout of this file, fixed by Kafka (KRaft, KIP-631)
//	    cluster.id=<22 chars>     the cluster the directory belongs to
//	    node.id=<int>             the node it belongs to
//	    directory.id=<22 chars>   the directory itself (KIP-858)
//	    pinion.format=<int>       layout of everything else in the directory, ours; absent in what Kafka wrote
//
// meta.properties is the first thing written into an empty directory and is replaced as a whole, so a power cut during the first
// start leaves a directory that is still empty or one that has its identity. One owner at a time: whoever holds the Claim.
//
// It refuses to guess. A directory of another node or cluster, of a newer format, or one that holds files but no identity is
// never touched: an emptied or swapped disk must not quietly rejoin as what it is not.
package identity

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"pinion/disk/device"
	"pinion/engine/model"
)

// File is the name of what gives a directory its identity.
const File = metaFile

// LostFound is the folder that mkfs leaves at the root of a file system. It is the file system's: a directory that holds nothing else is empty.
const LostFound = "lost+found"

const (
	lockFile = ".lock"
	metaFile = "meta.properties"

	// Format is the layout this program writes and the newest it reads:
	//
	//	1  Kafka's partition folders, the metadata log, recovery points by name
	//	2  also a journal beside them, which may hold what the segments lack; recovery points by topic id; in a partition's folder where
	//	   its log starts (DeleteRecords) and below which offset compaction has left gaps
	//
	// A program of format 1 would start without what only the journal has, and take gaps for damage: it must refuse. What format 1 wrote
	// means the same in 2, so that Open raises the number and changes nothing else, before anything of the new format is written.
	Format = 2

	metaBytesMax = 64 << 10 // Kafka's file has about 150 bytes
)

// Identity is what meta.properties says.
type Identity struct {
	Cluster   string
	Node      model.NodeID
	Directory string
	Format    int32
}

// Want is what the caller expects to find, and what a directory without identity gets.
type Want struct {
	Node    model.NodeID
	Cluster string    // empty: take the directory's, or make one
	Random  io.Reader // for new ids; crypto/rand.Reader outside tests
}

// Claim is a locked directory that is known to be ours.
type Claim struct {
	Identity
	Fresh   bool  // the directory was empty: this is its first start
	Adopted bool  // the directory was Kafka's until now
	Was     int32 // its format when it was opened: below Format it has been raised now, and older programs refuse it; 0 for Fresh and Adopted
	lock    io.Closer
}

// Close gives up the lock. The directory must not be touched afterwards.
func (c *Claim) Close() error { return c.lock.Close() }

// Refusal is an error that starting again cannot cure: somebody has to change the configuration or the directory. Programs exit
// with 78 (EX_CONFIG) for it, so that a service manager does not restart them.
type Refusal struct {
	Path string // of the directory
	Text string
}

func (r *Refusal) Error() string { return r.Path + ": " + r.Text }

// Ours reports whether a directory has the identity of a Pinion node, and not that of a Kafka broker alone. It locks nothing.
func Ours(dir device.Dir) bool {
	data, err := dir.ReadFile(metaFile, metaBytesMax)
	if err != nil {
		return false
	}
	meta, refused := parseMeta(data)
	return refused == "" && meta.Format > 0
}

// Open locks the directory, checks that it is ours, and gives an empty one its identity. Errors are *Refusal, wrap
// device.ErrLocked when another process works in it, or come from the disk.
func Open(dir device.Dir, want Want) (*Claim, error) {
	lock, err := dir.Lock(lockFile)
	if err != nil {
		return nil, err
	}
	claim, err := open(dir, want)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	claim.lock = lock
	return claim, nil
}

// Inspect locks a directory and reads whose it is, whoever that may be, and changes nothing: for tools that work in the place of the
// broker. A directory without identity, or of a newer format, is a *Refusal.
func Inspect(dir device.Dir) (*Claim, error) {
	lock, err := dir.Lock(lockFile)
	if err != nil {
		return nil, err
	}
	data, err := dir.ReadFile(metaFile, metaBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		err = &Refusal{dir.Path(), "has no " + metaFile + ": it is not a broker's data directory"}
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	meta, refused := parseMeta(data)
	if refused != "" {
		return nil, errors.Join(&Refusal{dir.Path(), metaFile + ": " + refused}, lock.Close())
	}
	if text := meta.newer(); text != "" {
		return nil, errors.Join(&Refusal{dir.Path(), text}, lock.Close())
	}
	return &Claim{Identity: meta.Identity, lock: lock}, nil
}

func open(dir device.Dir, want Want) (*Claim, error) {
	data, err := dir.ReadFile(metaFile, metaBytesMax)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return first(dir, want)
	case errors.Is(err, device.ErrTooLarge):
		return nil, &Refusal{dir.Path(), fmt.Sprintf("%s is larger than %d bytes and cannot be what a broker wrote", metaFile, metaBytesMax)}
	case err != nil:
		return nil, fmt.Errorf("read %s of %s: %w", metaFile, dir.Path(), err)
	}
	meta, refused := parseMeta(data)
	if refused != "" {
		return nil, &Refusal{dir.Path(), metaFile + ": " + refused}
	}
	if text := meta.mismatch(want); text != "" {
		return nil, &Refusal{dir.Path(), text}
	}
	claim := &Claim{Identity: meta.Identity, Adopted: meta.Format == 0, Was: meta.Format}
	if meta.Format == Format && meta.Directory != "" {
		return claim, nil
	}
	if claim.Directory == "" { // Kafka before 3.7 gave directories no id
		if claim.Directory, err = NewID(want.Random); err != nil {
			return nil, err
		}
	}
	claim.Format = Format
	meta.Identity = claim.Identity
	if err := dir.Replace(metaFile, meta.append(nil)); err != nil {
		return nil, fmt.Errorf("write %s of %s: %w", metaFile, dir.Path(), err)
	}
	return claim, nil
}

// first gives an identity to a directory that has none, if it is empty.
func first(dir device.Dir, want Want) (*Claim, error) {
	entries, err := dir.List(".")
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir.Path(), err)
	}
	for _, e := range entries {
		if !belongsToEmpty(e) {
			return nil, &Refusal{dir.Path(), fmt.Sprintf("holds %q but no %s; it is not a broker's, or its %s was lost; name an empty directory, or put the file back",
				e.Name, metaFile, metaFile)}
		}
	}
	meta := meta{Identity: Identity{Cluster: want.Cluster, Node: want.Node, Format: Format}}
	if meta.Cluster == "" {
		if meta.Cluster, err = NewID(want.Random); err != nil {
			return nil, err
		}
	}
	if meta.Directory, err = NewID(want.Random); err != nil {
		return nil, err
	}
	if err := dir.Replace(metaFile, meta.append(nil)); err != nil {
		return nil, fmt.Errorf("write %s of %s: %w", metaFile, dir.Path(), err)
	}
	return &Claim{Identity: meta.Identity, Fresh: true}, nil
}

// belongsToEmpty names what an empty directory may hold: the lock just taken, a first start cut short, and LostFound.
func belongsToEmpty(e device.Entry) bool {
	switch e.Name {
	case lockFile, metaFile + ".tmp":
		return !e.IsDir
	case LostFound:
		return e.IsDir
	}
	return false
}
