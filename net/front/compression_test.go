package front

import (
	"testing"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

// A topic stores what is sent with the codec it names, whatever the producer chose; "producer" leaves it alone.
func TestCompressionTypeIsWhatIsStored(t *testing.T) {
	n := startNode(t, 2)
	c := n.dial()
	for name, want := range map[string]codec.Codec{"uncompressed": codec.None, "gzip": codec.Gzip, "snappy": codec.Snappy, "lz4": codec.LZ4, "zstd": codec.Zstd, "producer": -1} {
		topic := n.create("kept-as-"+name, 1, map[string]string{"compression.type": name})
		for sent := codec.None; sent <= codec.Zstd; sent++ {
			b := batch.NewBuilder()
			b.Codec = sent
			fill(b, int64(sent), 20, 50)
			base := c.produced(at{topic: topic, records: b.Bytes()})
			got := fetched(c.call(fetchRequest(0, 1, 1<<20, at{topic: topic, offset: base, max: 1 << 20}), fetchVersion))[0].RecordBatches
			h, ok := batch.ReadHeader(got)
			kept := want
			if want < 0 {
				kept = sent
			}
			if !ok || h.Codec() != kept || !batch.CheckCRC(got) || int64(h.BaseOffset) != base || h.Records != 20 {
				t.Errorf("%s into %s: header %+v", sent, name, h)
				continue
			}
			var it batch.Iterator
			it.Reset(got, 1<<20)
			count := 0
			for it.Next() {
				count++
			}
			if it.Err() != nil || count != 20 {
				t.Errorf("%s into %s: %d records, %v", sent, name, count, it.Err())
			}
		}
	}
}
