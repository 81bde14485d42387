package load

import (
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Count is work that was done.
type Count struct {
	Requests int64 // of a client that does not tell them: records sent, or polls
	Records  int64
	Bytes    int64 // of values, before compression, when producing; of batches when fetching
}

func (c *Count) add(o Count) {
	c.Requests += o.Requests
	c.Records += o.Records
	c.Bytes += o.Bytes
}

// Interval is what happened in a part of the measured time. Histograms hold nanoseconds; nil is an empty one.
type Interval struct {
	Start, End time.Duration // since the measured time began: [Start, End)

	Sent     Count // produce requests that were acknowledged in this time
	Received Count
	Errors   int64 // requests, or records of a client, that were refused
	Copies   int   // how many consumers are to read each record; 0 is one

	Latency  *hdr.Histogram // of acknowledgements; see Plan for what it counts from
	Delay    *hdr.Histogram // how late the generator itself handed a request to the kernel
	EndToEnd *hdr.Histogram // from the stamp in a record to its arrival
	Fetch    *hdr.Histogram // of fetches in a closed loop
}

// Bounds of all histograms: a nanosecond to ten minutes, three digits.
const (
	histogramMax    = int64(10 * time.Minute)
	histogramDigits = 3
)

// NewHistogram is an empty histogram of nanoseconds.
func NewHistogram() *hdr.Histogram { return hdr.New(1, histogramMax, histogramDigits) }

// Record counts a value into a histogram that is made at need; what is out of bounds counts at the bound.
func Record(h **hdr.Histogram, value int64) {
	if *h == nil {
		*h = NewHistogram()
	}
	_ = (*h).RecordValue(min(max(value, 0), histogramMax))
}

// Merge adds what another interval, of the same time or a later one, counted.
func (i *Interval) Merge(o *Interval) {
	i.End = max(i.End, o.End)
	i.Sent.add(o.Sent)
	i.Received.add(o.Received)
	i.Errors += o.Errors
	i.Copies = max(i.Copies, o.Copies)
	merge(&i.Latency, o.Latency)
	merge(&i.Delay, o.Delay)
	merge(&i.EndToEnd, o.EndToEnd)
	merge(&i.Fetch, o.Fetch)
}

func merge(into **hdr.Histogram, from *hdr.Histogram) {
	if from == nil {
		return
	}
	if *into == nil {
		*into = NewHistogram()
	}
	(*into).Merge(from)
}
