package wire

import "testing"

func BenchmarkProduceView(b *testing.B) {
	body := produceBody(9, 1, 10, 1000)
	var p ProduceView
	b.ReportAllocs()
	for b.Loop() {
		readProduce(&p, 9, body)
	}
}

func BenchmarkProduceWriter(b *testing.B) {
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = fillProduce(buf[:0], 11)
	}
}

// A client without sessions sends all its partitions every time.
func BenchmarkFetchView(b *testing.B) {
	body := fetchBody(16, 10, 100)
	var p FetchView
	b.ReportAllocs()
	for b.Loop() {
		readFetch(&p, 16, body)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/partition")
}

func BenchmarkFetchWriter(b *testing.B) {
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = fillFetch(buf[:0], 16)
	}
}

func BenchmarkParseHeader(b *testing.B) {
	frame := []byte{0, 0, 0, 9, 0, 0, 0, 9, 0, 6, 'c', 'l', 'i', 'e', 'n', 't', 0, 1}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHeader(frame); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	body := smallest(Lookup(KeyMetadata), 12, 0, 1000, 0)
	b.ReportAllocs()
	for b.Loop() {
		if err := Walk(KeyMetadata, 12, body, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
