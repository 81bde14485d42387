// Package wire reads and writes Kafka's bytes: which keys and versions exist, the request header, allocation-free views
// of Produce and Fetch requests, writers of their responses, the error codes, and a pre-walk that bounds what the kmsg
// decoder may allocate for every other key. Views borrow the frame they were given and own nothing; the caller keeps the
// frame alive as long as any slice taken from a view. It refuses to interpret: no record batch is opened, no name is
// looked up, nothing is logged.
//
// A frame on the socket (all integers big endian):
//
//	+--------+--------+---------+-------------+-----------------+------+------------+
//	| length | key    | version | correlation | client id       | tags | body       |
//	| i32    | i16    | i16     | i32         | i16 length, -1  | v2   | per key    |
//	|        |        |         |             | null, bytes     | only |            |
//	+--------+--------+---------+-------------+-----------------+------+------------+
//	         |<------------- what ParseHeader is given ------------------------------>|
//
// and the answer:
//
//	+--------+-------------+-------+----------+
//	| length | correlation | tags  | body     |   tags: flexible versions only, and never for ApiVersions (KIP-511)
//	| i32    | i32         | v1    | per key  |
//	+--------+-------------+-------+----------+
//
// Flexible versions (KIP-482) write lengths and counts as unsigned varints plus one, zero meaning null, and end every
// structure with tagged fields: a count, then tag, size and that many bytes each.
//
// Where Kafka 4.3's generated readers and kmsg disagree, the views side with Kafka:
//   - null where the schema allows none, a string over 32767 bytes, and a known tag in a version that does not have it
//     are refused (kmsg lets them pass);
//   - bytes after the body are ignored, and of a repeated tag the last one counts (as in kmsg).
//
// In one place they are stricter than both: the size of a known tag must be exactly what its content takes. Kafka ignores
// the size and kmsg the remainder, so such a frame means two different things to two readers.
package wire
