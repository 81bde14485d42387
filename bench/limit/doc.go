// Package limit measures what this machine gives when the broker is nothing but its system calls: loops that receive, check and
// append, or send a file, or answer, and do nothing else. A row of a benchmark is judged by how near a broker comes to its loop.
//
// A loop runs in a child process with as many threads as the broker has shards, so that its processor time can be told from the
// generator's; the parent makes the load over the loopback and reads the child's usage from /proc. Child is the child's whole
// program. Every return value is checked: a loop whose writes fail unseen looks wonderfully fast.
//
// The loops keep no log anybody could read and speak no more of Kafka than the generator needs.
package limit
