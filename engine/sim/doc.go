// Package sim runs one whole node in one goroutine from one seed: shards without threads whose mail is delayed and reordered
// between pairs, helpers' jobs that stop at every call of the disk, a disk that loses and tears what was not synced, a clock that
// moves when told, producers and consumers that keep books of what they were promised. What is simulated is the code that runs in
// production (engine/partition and all below it); the socket and protocol side is not part of it.
//
//	          ┌─ carry mail from a shard to another         each step is drawn from the seed; after each
//	a step is ┼─ run a turn of a shard                      step the invariants are looked at, and the
//	          ├─ let a job make one call of the disk        step is added to the trace
//	          ├─ a client acts, the catalogue changes
//	          └─ time passes, or something fails
//
// A World is one run. It owns everything; nothing here is safe for another goroutine. A violated promise ends the run with an
// error that names the seed; the same seed takes the same steps, and Trace tells whether it did.
package sim
