package log

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pinion/disk/batch"
	"pinion/disk/codec"
)

// kafkaClasspath asks Maven for the jars of testdata/kafka-tools, or skips.
func kafkaClasspath(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a JVM; not in short mode")
	}
	for _, tool := range []string{"mvn", "java"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	cached := filepath.Join(os.TempDir(), "pinion-kafka-4.3.1.classpath")
	if raw, err := os.ReadFile(cached); err == nil && classpathExists(string(raw)) {
		return strings.TrimSpace(string(raw))
	}
	out := filepath.Join(t.TempDir(), "classpath")
	cmd := exec.Command("mvn", "-q", "-f", "testdata/kafka-tools/pom.xml", "dependency:build-classpath", "-Dmdep.outputFile="+out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("mvn: %v\n%s", err, text)
	}
	raw := mustRead(t, out)
	_ = os.WriteFile(cached, raw, 0o600)
	return strings.TrimSpace(string(raw))
}

func classpathExists(path string) bool {
	for _, jar := range strings.Split(strings.TrimSpace(path), ":") {
		if _, err := os.Stat(jar); err != nil {
			return false
		}
	}
	return path != ""
}

// dump runs Kafka's DumpLogSegments.
func dump(t *testing.T, classpath string, args ...string) string {
	t.Helper()
	cmd := exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classpath, "org.apache.kafka.tools.DumpLogSegments")
	cmd.Args = append(cmd.Args, args...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("DumpLogSegments %v: %v\n%s", args, err, text)
	}
	return string(text)
}

// TestKafkaReadsOurs lets Kafka 4.3.1 judge segments, offset and time indexes: after a clean close, and after recovery of a crash.
func TestKafkaReadsOurs(t *testing.T) {
	classpath := kafkaClasspath(t)
	cfg := testConfig()
	cfg.SegmentBytes = 256 << 10
	r := newRig(t, cfg)
	random := rand.New(rand.NewPCG(3, 4))
	records := 0
	codecs := []codec.Codec{codec.None, codec.Gzip, codec.Snappy, codec.LZ4, codec.Zstd}
	for i := range 300 {
		b := batch.NewBuilder()
		b.Codec = codecs[i%len(codecs)]
		for n := range 1 + random.IntN(4) {
			ts := int64(r.now.Wall) + int64(random.IntN(5000)) - 2500
			value := make([]byte, random.IntN(1500))
			for i := range value {
				value[i] = 'a' + byte(random.Uint32()%26)
			}
			b.Add(ts, fmt.Appendf(nil, "key-%d", n), value, batch.RecordHeader{Key: "h", Value: []byte("v")})
			records++
		}
		raw := b.Bytes()
		batch.Stamp(raw, r.l.End(), 3)
		r.stage(raw)
		if err := r.l.Write(); err != nil {
			t.Fatal(err)
		}
		r.now.Wall += 100
	}
	crashed := copyTree(t, r.path)
	end := r.l.End()
	r.close()
	c := rigAt(t, crashed, cfg, OpenFrom{})
	if c.l.End() != end {
		t.Fatalf("recovered to %d of %d", c.l.End(), end)
	}
	c.close()
	for _, side := range []*rig{r, c} {
		var logs, indexes []string
		names, _ := filepath.Glob(filepath.Join(side.path, "orders-0", "0*"))
		for _, name := range names {
			if strings.HasSuffix(name, logSuffix) {
				logs = append(logs, name)
			} else {
				indexes = append(indexes, name)
			}
		}
		if len(logs) < 2 || len(indexes) != 2*len(logs) {
			t.Fatalf("files %v", names)
		}
		text := dump(t, classpath, "--deep-iteration", "--print-data-log", "--files", strings.Join(logs, ","))
		if n := strings.Count(text, "| offset:"); n != records {
			t.Errorf("Kafka sees %d records, want %d\n%.2000s", n, records, text)
		}
		for line := range strings.Lines(text) {
			lower := strings.ToLower(line)
			// The tool begins every file at -1, so it finds a gap before any segment but the first.
			gap := strings.Contains(lower, " is followed by ") && !strings.HasPrefix(strings.TrimSpace(lower), "-1 ")
			if gap || strings.Contains(lower, "isvalid: false") || strings.Contains(lower, "invalid bytes") {
				t.Errorf("Kafka objects: %.300s", line)
			}
		}
		for _, flag := range []string{"--index-sanity-check", "--verify-index-only"} {
			text := dump(t, classpath, flag, "--files", strings.Join(indexes, ","))
			if strings.Contains(text, "Mismatches") || strings.Contains(text, "Found") || strings.Contains(text, "rror") || strings.Contains(text, "failed") {
				t.Errorf("%s:\n%.4000s", flag, text)
			}
			if flag == "--index-sanity-check" && strings.Count(text, "passed sanity check") != len(indexes) {
				t.Errorf("%s:\n%.4000s", flag, text)
			}
		}
	}
	// The judge can say no: an index entry off by one byte.
	name := r.file(0, indexSuffix)
	raw := mustRead(t, name)
	raw[7]++
	mustWrite(t, name, raw)
	cmd := exec.Command("java", "-Xmx256m", "-cp", classpath, "org.apache.kafka.tools.DumpLogSegments", "--verify-index-only", "--files", name)
	if text, err := cmd.CombinedOutput(); err == nil && !strings.Contains(string(text), "Mismatches") {
		t.Errorf("a broken index passes:\n%s", text)
	}
}

// TestKafkaReadsCompacted lets Kafka judge a log after compaction, retention and a clean stop: gaps, emptied batches, delete horizons.
func TestKafkaReadsCompacted(t *testing.T) {
	classpath := kafkaClasspath(t)
	cfg := compactConfig()
	cfg.Delete, cfg.DeleteRetentionMs = true, 1<<40
	r, g := newRig(t, cfg), newLedger(11)
	for range 400 {
		r.put(g)
	}
	r.compact(r.compactFrom(g))
	cfg.RetentionBytes = r.l.Size() * 3 / 4
	r.l.SetConfig(cfg)
	r.expireAll(r.l.End())
	r.checkLedger(g, true)
	records, horizons := 0, 0
	for raw := r.all(); len(raw) > 0; {
		h, _ := batch.ReadHeader(raw)
		records += int(h.Records)
		if h.HasDeleteHorizon() {
			horizons++
		}
		raw = raw[h.Size():]
	}
	r.close()
	r.verify()
	logs, _ := filepath.Glob(filepath.Join(r.path, "orders-0", "0*"+logSuffix))
	indexes, _ := filepath.Glob(filepath.Join(r.path, "orders-0", "0*index"))
	text := dump(t, classpath, "--deep-iteration", "--print-data-log", "--files", strings.Join(logs, ","))
	if n := strings.Count(text, "| offset:"); n != records || horizons == 0 {
		t.Errorf("Kafka sees %d records, want %d", n, records)
	}
	if n := strings.Count(text, "deleteHorizonMs: OptionalLong["); n != horizons {
		t.Errorf("Kafka sees %d delete horizons, want %d", n, horizons)
	}
	if lower := strings.ToLower(text); strings.Contains(lower, "isvalid: false") || strings.Contains(lower, "invalid bytes") {
		t.Errorf("Kafka objects:\n%.3000s", text)
	}
	text = dump(t, classpath, "--index-sanity-check", "--files", strings.Join(indexes, ","))
	if strings.Count(text, "passed sanity check") != len(indexes) {
		t.Errorf("index sanity check:\n%.3000s", text)
	}
	text = dump(t, classpath, "--verify-index-only", "--files", strings.Join(indexes, ","))
	if strings.Contains(text, "Mismatches") || strings.Contains(text, "Found") || strings.Contains(text, "rror") {
		t.Errorf("indexes:\n%.3000s", text)
	}
}
