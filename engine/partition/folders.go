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

// point takes what the last owner said, or the point stored at the last stop. The caller has the claim.
func (f *Folders) point(p model.Partition, stored model.Offset) model.Offset {
	if h, ok := f.handed.LoadAndDelete(p); ok && h.(handed).synced > 0 {
		return h.(handed).synced
	}
	return stored
}

// orphan is a folder nobody will open any more, and the place of its log directory among all.
type orphan struct {
	name string
	at   int
}

// orphans claims the folders of a deleted topic that nobody will open any more: they were handed on, and their next owner had not come.
func (f *Folders) orphans(by claimant) (folders []orphan) {
	f.handed.Range(func(p, h any) bool {
		folder, in := h.(handed).folder, h.(handed).in
		if p.(model.Partition).Topic == by.topic && f.claims.CompareAndSwap(folder, claimant{by.topic, model.NoShard}, by) {
			f.handed.Delete(p)
			folders = append(folders, orphan{folder, in.At})
		}
		return true
	})
	return folders
}
