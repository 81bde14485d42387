// Package load makes load for a Kafka broker at a cost that is small beside the broker's: requests are encoded once, before the
// clock runs, and sent again and again over raw non-blocking sockets by threads that each have an epoll instance. What changes
// from request to request is patched in place: the correlation number, the partition, the sequence of an idempotent producer, the
// stamp in a record that will be read back.
//
// A closed loop keeps a number of requests in flight on each connection and finds the ceiling; its latencies count from the send
// and say nothing about a broker that stalls. An open loop sends at times that were fixed beforehand (Schedule): it never waits,
// however late the broker is, and its latencies count from the intended time, so there is no coordinated omission. They are those of
// all sends that were meant for the measured time; throughput is what was answered in it.
//
// A plan and its tallies belong to whoever calls Run; while it runs, each connection belongs to one thread. The package speaks
// Produce 7 and Fetch 11, which every broker of the last seven years answers, and refuses to do more than measure: it checks error
// codes and offsets, not payloads.
package load
