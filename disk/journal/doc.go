// Package journal makes small appends of many partitions durable together: one write and one sync for whatever has gathered, instead
// of one sync for each segment file. Segments get the same bytes through the page cache; once a segment is synced, the journal's copy
// is not needed any more and its file is used again. After a crash Read says what the segments may lack.
//
// A journal is a folder of files of one size, filled with zeros when they are made, because a sync of bytes that only replace others
// costs half of one that makes the file system commit too. They are written past the page cache where the file system can do that: nobody
// reads them before the next start.
//
//	journal/
//	  0000.journal    records from byte 0 on, each on a 512-byte boundary; what follows the last is zeros or an earlier use's
//	  0001.journal
//
// A record (all integers little-endian):
//
//	 0       4       8        12      16           24         32       40      48     56      64
//	+-------+-------+--------+-------+------------+----------+--------+-------+------+-------+---------+-------+---------+
//	| magic | CRC-  | length | count | generation | sequence | oldest | first | last | key   | entries | zeros to the    |
//	|       | 32C   |        |       |            |          |        |       |      |       |         | next boundary   |
//	+-------+-------+--------+-------+------------+----------+--------+-------+------+-------+---------+-------+---------+
//	                |<-------------- covered by the CRC, length bytes from the magic on ------------->|
//
// The generation is one larger for each use of a file, so that bytes of an earlier use never count. The sequence is one larger for
// each record. Records [first, last] were one write: of these a power cut may keep any, but a record of a later write proves that they
// were all durable, so that a gap before it is damage and not the end. Nothing of a generation before oldest is needed.
//
// The key is a random number of the life that wrote the record; 0 in journals of before there was one. Only records with the key of the newest that stands
// at a file's first byte count. What a producer sends lies in these files as it is, and may look like a record, but never at the first byte, and without
// the key. Nor does what a torn write has left of a generation that a start did not see, and used again.
//
// An entry:
//
//	 0      4           8       24     32    40        48    52      56       60     64
//	+------+-----------+-------+------+-----+---------+-----+-------+--------+-------+--------+-----------------+
//	| kind | partition | topic | base | end | segment | pos | epoch | length | skip, | batch  | zeros to a      |
//	|      |           | id    |      |     |         |     |       |        | form  |        | multiple of 8   |
//	+------+-----------+-------+------+-----+---------+-----+-------+--------+-------+--------+-----------------+
//
// Skip and form are 2 bytes each. Where form is 0 the batch follows and skip is 0. Where it is 1 the batch stands behind the record, skip bytes
// from a boundary on, and whatever follows begins on the next: it goes to the device from where it lies in memory (Buffer.Lend), and
// only its edges are copied. The record's CRC does not reach there. Such a batch counts if its own CRC is right and its base offset, length
// and epoch are the entry's; a record is sound if all its batches are.
//
// An append holds offsets [base, end), which lie at pos of the segment that begins at offset segment. A truncation takes away what
// earlier entries hold from base on; a synced entry says that the segments held everything below end, so that they may not end before.
//
// Deletions need no entries: topic ids never come back, and the catalogue knows which exist. Nor do deletions of records and retention: only
// what continues behind the end of a log's segments is taken from here, and a log's end does not fall by them.
//
// A Writer has one owner at a time, a helper, and blocks. A Buffer belongs to whoever fills it until it is given to the Writer's owner.
// An error of a write or sync is final. The package refuses to know segments, producers and who waits.
package journal
