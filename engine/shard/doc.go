// Package shard is the loop every other room runs on: one goroutine locked to one OS thread, pinned to one core, with its own
// epoll instance, its own timers and its own inbox. What a shard owns is touched by its thread alone, so nothing here or above
// needs a lock. It knows no partitions, no sockets beyond their readiness, no protocol.
//
// One turn of the loop:
//
//	readiness (epoll) -> mail -> due timers          sources, Deliver and Fire run, machines decide
//	local mail until none is left                    asks to ourselves never leave the turn
//	Ender.EndTurn of each room, in order             appends leave together, replies are sent together
//	ring the doorbells of sleeping shards            at most one eventfd write for each of them
//
// A shard sleeps in epoll_wait only after raising its sleeping flag and finding its inbox empty; whoever posts mail and lowers
// the flag owes it a ring. The package is the only place that starts goroutines for shards and their helpers.
package shard
