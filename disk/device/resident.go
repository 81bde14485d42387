package device

import (
	"os"
	"sync/atomic"
)

// noCachestat is set by the first kernel or filter that refuses cachestat(2) (before 6.5). It orders nothing.
var noCachestat atomic.Bool

var pageBytes = int64(os.Getpagesize())

// probeStep is how far apart the fallback looks. Readahead brings in at least this much at a time (read_ahead_kb is 128 unless
// told otherwise), so a hole between two probes is rare; it costs the shard one wait, not correctness.
const probeStep = 64 << 10

// Resident asks the page cache how many pages of the range it holds (0.6 us for 64 KiB); without cachestat it probes bytes. A page that
// read-ahead has asked the disk for is held as well: the last one, which comes last, is tried.
func (f *file) Resident(pos, length int64) bool {
	if length <= 0 {
		return true
	}
	if !noCachestat.Load() {
		// Whole pages, so that the count can be compared.
		from := pos &^ (pageBytes - 1)
		to := (pos + length + pageBytes - 1) &^ (pageBytes - 1)
		cached, errno := cachedPages(f.fd, from, to-from)
		if errno == 0 {
			return cached >= uint64((to-from)/pageBytes) && f.probe(pos+length-1)
		}
		noCachestat.Store(true)
	}
	for at := pos; at < pos+length; at += probeStep {
		if !f.probe(at) {
			return false
		}
	}
	return f.probe(pos + length - 1)
}

// probe reports whether the byte at pos can be read without waiting. Where it cannot the kernel begins to read the page: not a first question.
func (f *file) probe(pos int64) bool {
	var b [1]byte
	n, errno := preadNow(f.fd, b[:], pos)
	return errno == 0 && n == 1
}
