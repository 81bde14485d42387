// Package conn is a client's socket on its home shard: frames in, replies out in request order. A Hub belongs to one shard and
// holds its listeners, its connections and their memory budgets; a Conn belongs to the hub's shard for its whole life. The
// package knows frames and request headers and refuses to know what any request means: a Handler does that.
//
// Memory. A connection that is idle owns no buffer. Bytes are received into a block all connections of the shard share; a frame
// that did not arrive whole moves into a block of its own, reserved against a budget before its body is read. Requests borrow
// the block they arrived in. Frames up to 1 MiB and larger ones draw on separate budgets, so that a few giants that dawdle
// cannot keep everyone else waiting.
//
// Order (per connection, as Kafka promises). Replies leave in request order. Produces may overlap; any other request starts only
// when every earlier one is answered. What has not started stays unparsed, and what is unparsed stops the reading.
package conn
