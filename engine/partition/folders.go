package partition

import (
	"sync"

	"pinion/engine/model"
)

// Folders says which incarnation of a topic works in which folder of the log directory. All sets of a node share it: a topic that
// is deleted and created again has the same folder names, its partitions may live on other shards, and the old incarnation may
// still have helpers at work in them; a partition that is handed over stays with the old owner until its log is closed. The zero
// value is ready.
type Folders struct {
	claims sync.Map // folder name -> claimant
	points sync.Map // model.Partition -> model.Offset, of partitions handed over: all below is synced
}

type claimant struct {
	topic model.TopicID
	shard model.ShardID
}

// claim takes a folder, unless another incarnation or another shard still has it.
func (f *Folders) claim(name string, by claimant) bool {
	holder, held := f.claims.LoadOrStore(name, by)
	return !held || holder == by
}

func (f *Folders) free(name string) { f.claims.Delete(name) }

// handOn frees a folder and says from where on the partition's next owner has to read its log.
func (f *Folders) handOn(name string, p model.Partition, synced model.Offset) {
	f.points.Store(p, synced)
	f.free(name)
}

// Points tells from where on the logs have to be read that were handed over and that nobody has opened since.
func (f *Folders) Points(yield func(p model.Partition, synced model.Offset) bool) {
	f.points.Range(func(p, synced any) bool { return yield(p.(model.Partition), synced.(model.Offset)) })
}

// point takes what the last owner said, or the point stored at the last stop.
func (f *Folders) point(p model.Partition, stored model.Offset) model.Offset {
	if synced, ok := f.points.LoadAndDelete(p); ok {
		return synced.(model.Offset)
	}
	return stored
}
