// Package commit makes what shards append durable together. A Journal belongs to a node's log directory: shards hand it Commits, a
// clerk writes all that have gathered by one durable write, and each comes home as mail. A Prefix is the durable end of one partition;
// a Needed is what one shard still needs of the journal. Both are pure machines and belong to the shard of their partition.
//
// An append is durable when the journal has it or when its segment was synced, and acknowledged when everything before it is durable
// too. A journal file may be used again when every partition with entries in it has synced its segments past them.
//
// It refuses to know logs, marks and who waits.
package commit
