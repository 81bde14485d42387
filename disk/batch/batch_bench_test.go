package batch

import (
	"fmt"
	"testing"

	"pinion/disk/codec"
)

func benchBatch(c codec.Codec, records, value int) []byte {
	b := NewBuilder()
	b.Codec = c
	payload := make([]byte, value)
	for i := range payload {
		payload[i] = byte(i * 7 % 61)
	}
	for i := range records {
		payload[i%value]++
		b.Add(testNow+int64(i/8), []byte("key"), payload)
	}
	return b.Bytes()
}

// BenchmarkRecords is the walk alone; BenchmarkValidate has the checksum in it.
func BenchmarkRecords(b *testing.B) {
	for _, value := range []int{10, 100, 1000} {
		raw := benchBatch(codec.None, 1000, value)
		h, _ := ReadHeader(raw)
		lim := testLimits()
		b.Run(fmt.Sprintf("value=%d", value), func(b *testing.B) {
			var w walk
			for b.Loop() {
				w.begin(&h, &lim)
				w.run(raw[HeaderSize:])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	for c := codec.None; c <= codec.Zstd; c++ {
		for _, value := range []int{100, 1000} {
			raw := benchBatch(c, 1000, value)
			b.Run(fmt.Sprintf("%s/value=%d", c, value), func(b *testing.B) {
				var v Validator
				b.SetBytes(int64(1000 * value))
				for b.Loop() {
					if got := Validate(&v, raw, testLimits()); got.Fault != FaultNone {
						b.Fatal(got.Fault)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
			})
		}
	}
}

func BenchmarkCRC(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10, 1 << 20, 8 << 20} {
		raw := make([]byte, size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				CheckCRC(raw)
			}
		})
	}
}
