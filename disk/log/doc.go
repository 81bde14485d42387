// Package log is one partition's records on disk: a chain of segment files in Kafka's format and naming, with what finds an
// offset, a time or an epoch in them. A Log has one owner at a time, a shard; a hand-over closes it and opens it elsewhere.
//
//	<topic>-<partition>/
//	  partition.metadata           version: 0, topic_id: <22 characters>
//	  leader-epoch-checkpoint      0, count, then "epoch start-offset" a line
//	  00000000000000000000.log     record batches v2, back to back (package batch)
//	  00000000000000000000.index   +-----------------+----------+   8 bytes an entry, big-endian:
//	                               | offset - base   | position |   the last offset of a batch, and where the batch starts
//	                               +-----------------+----------+
//	  00000000000000000000.timeindex +-----------+---------------+ 12 bytes an entry:
//	                               | timestamp   | offset - base |   the largest timestamp so far, and the last offset of its batch
//	                               +-------------+---------------+
//	  00000000000000000042.log     the base offset names the next segment; the last one is active
//
// Two kinds of methods. Those the shard calls never wait for a disk and do not allocate in steady state: they work on what is
// open and in memory. Whatever may wait is a *Work: the owner gets it from a Prepare-like method, a helper runs Do, and Finish,
// back on the owner, installs the outcome. A Work holds what it needs by value and never touches the Log, so the owner goes on meanwhile.
// At most one Work of a kind is under way; where kinds exclude each other the method returns nil: ask again after the next Finish.
//
// A byte below the log end never changes in its inode: the kernel may still be sending it. Truncation continues in a new inode, and
// files that readers hold (Span) stay open and mapped, without a name if need be, until the last lease is home.
//
// A failed write or sync is final: the Log keeps the error and refuses everything but reads. A refused reservation is not.
//
// The package refuses to know leaders, watermarks and producers; limits come in as parameters.
package log
