package partition

import (
	"iter"
	"sync"

	"pinion/engine/logdir"
	"pinion/engine/model"
)

// Folders says which incarnation of a topic works in which folder of the log directories. All sets of a node share it: a topic that
// is deleted and created again has the same folder names, its partitions may live on other shards, and the old incarnation may
// still have helpers at work in them; a partition that is handed over stays with the old owner until its log is closed. A folder that was handed
// on is in custody for its own incarnation alone, whoever opens or buries it. The zero value is ready.
type Folders struct {
	claims sync.Map // folder name -> claimant
	handed sync.Map // model.Partition -> handed, of folders in custody
	wishes sync.Map // model.Partition -> *logdir.Directory that it is to come to
	lost   sync.Map // model.Partition -> error, of those that may lie in either of two folders: the next start sees which
	pace   turnstile
}

// wish says that a partition is to come to another directory.
func (f *Folders) wish(p model.Partition, to *logdir.Directory) { f.wishes.Store(p, to) }

// Resume has those go on that were on their way to another directory when the last life of the node ended. It comes before anything is opened.
func (f *Folders) Resume(wishes []logdir.Moved) {
	for _, w := range wishes {
		f.wish(w.Partition, w.To)
	}
}

// wished is where it is to come to, or nil.
func (f *Folders) wished(p model.Partition) *logdir.Directory {
	to, ok := f.wishes.Load(p)
	if !ok {
		return nil
	}
	return to.(*logdir.Directory)
}

// unwish forgets that, and gives it once more.
func (f *Folders) unwish(p model.Partition) *logdir.Directory {
	to := f.wished(p)
	f.wishes.Delete(p)
	return to
}

// lose says that only the next start can tell where a partition lies.
func (f *Folders) lose(p model.Partition, err error) { f.lost.Store(p, err) }

// found reports whether it is known where a partition lies, or why not.
func (f *Folders) found(p model.Partition) error {
	if err, lost := f.lost.Load(p); lost {
		return err.(error)
	}
	return nil
}

type claimant struct {
	topic model.TopicID
	shard model.ShardID // model.NoShard: in custody
}

// handed is what the last owner of a folder left.
type handed struct {
	folder string
	in     *logdir.Directory
	synced model.Offset // all below is; 0: the point stored at the start still counts
}

// claim takes a folder, unless another incarnation or another shard still has it.
func (f *Folders) claim(name string, by claimant) bool {
	holder, held := f.claims.LoadOrStore(name, by)
	return !held || holder == by || f.claims.CompareAndSwap(name, claimant{by.topic, model.NoShard}, by)
}

func (f *Folders) free(name string) { f.claims.Delete(name) }

// handOn leaves a folder to the partition's next owner and says from where on that one has to read its log.
func (f *Folders) handOn(name string, p model.Partition, in *logdir.Directory, synced model.Offset) {
	f.handed.Store(p, handed{name, in, synced})
	f.claims.Store(name, claimant{p.Topic, model.NoShard})
}

// Points tells from where on the logs in a directory have to be read that were handed over and that nobody has opened since.
func (f *Folders) Points(in *logdir.Directory) iter.Seq2[model.Partition, model.Offset] {
	return func(yield func(p model.Partition, synced model.Offset) bool) {
		f.handed.Range(func(p, h any) bool {
			left := h.(handed)
			return left.synced == 0 || left.in != in || yield(p.(model.Partition), left.synced)
		})
	}
}

// point takes what the last owner said, or the point stored at the last stop; and in which directory that one left the folder, nil if there was none.
// The caller has the claim.
func (f *Folders) point(p model.Partition, stored model.Offset) (model.Offset, *logdir.Directory) {
	h, ok := f.handed.Load(p) // it stays until the new owner can tell: see taken
	if !ok {
		return stored, nil
	}
	if left := h.(handed); left.synced > 0 {
		return left.synced, left.in
	}
	return stored, h.(handed).in
}

// taken ends what the last owner of a folder said: the partition knows it by now.
func (f *Folders) taken(p model.Partition) { f.handed.Delete(p) }

// orphan is a folder nobody will open any more, and the place of its log directory among all.
type orphan struct {
	name   string
	at     int
	wished *logdir.Directory
}

// orphans claims the folders of a deleted topic that nobody will open any more: they were handed on, and their next owner had not come.
func (f *Folders) orphans(by claimant) (folders []orphan) {
	f.handed.Range(func(p, h any) bool {
		folder, in := h.(handed).folder, h.(handed).in
		if p.(model.Partition).Topic == by.topic && f.claims.CompareAndSwap(folder, claimant{by.topic, model.NoShard}, by) {
			f.handed.Delete(p)
			folders = append(folders, orphan{folder, in.At, f.unwish(p.(model.Partition))})
		}
		return true
	})
	return folders
}
