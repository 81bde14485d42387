package batch

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinion/disk/codec"
	"pinion/engine/model"
)

// TestKafkaWrites reads batches that Kafka 4.3.1's own classes wrote, one for each codec: testdata/kafka-4.3.1/KafkaBatches.java
// says what is in them and makes them again.
func TestKafkaWrites(t *testing.T) {
	files, err := filepath.Glob("testdata/kafka-4.3.1/*.batch")
	if err != nil || len(files) != 7 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var v Validator
	var it Iterator
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got := Validate(&v, b, testLimits())
		h := got.Header
		if got.Fault != FaultNone || got.Restamp || got.Rewrite || h.ProducerID != 4711 || h.ProducerEpoch != 3 || h.BaseSequence != 17 || h.Epoch != 5 {
			t.Errorf("%s: %+v", name, got)
		}
		want := strings.FieldsFunc(filepath.Base(name), func(r rune) bool { return r == '-' || r == '.' })[1]
		if h.Codec().String() != strings.TrimSuffix(want, "22") {
			t.Errorf("%s is %s", name, h.Codec())
		}
		checkKafkaRecords(t, name, collect(t, &it, b))
		// And so it comes back from a broker that compresses again.
		var r Recoder
		for c := codec.None; c <= codec.Zstd; c++ {
			again, err := r.Append(nil, b, c, 0, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			checkKafkaRecords(t, name+" as "+c.String(), collect(t, &it, again))
			if dir := os.Getenv("PINION_BATCHES"); dir != "" { // for KafkaBatches read
				out := filepath.Join(dir, filepath.Base(name)+"-"+c.String())
				if err := os.WriteFile(out, again, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func checkKafkaRecords(t *testing.T, name string, records []plainRecord) {
	t.Helper()
	if n := len(records); n != 500 && n != 20 {
		t.Errorf("%s: %d records", name, n)
	}
	for i, got := range records {
		want := plainRecord{Offset: model.Offset(i), Timestamp: testNow + int64(i)}
		if i%7 != 3 {
			want.Key = fmt.Appendf(nil, "key-%d", i)
		}
		if i%11 != 5 {
			want.Value = fmt.Appendf(nil, "value %d %s", i, strings.Repeat("abcdefghij", i%13))
		}
		if i%5 == 0 {
			want.Headers = []RecordHeader{{fmt.Sprintf("h%d", i), []byte("x")}, {"null", nil}}
		}
		if d := diff(want, got); d != "" {
			t.Fatalf("%s, record %d: %s", name, i, d)
		}
	}
}
