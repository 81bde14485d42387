package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// corpse is a data directory and what is in it, by topic and offset.
type corpse struct {
	dir     string
	records map[string]map[int64]string
}

var corpseSettings = []string{
	"log.segment.bytes=1048576", "log.cleaner.backoff.ms=50", "log.cleaner.min.cleanable.ratio=0.1", "auto.create.topics.enable=false",
}

// newCorpse writes a directory with everything in it: codecs, idempotent producers, a compacted topic, a moved log start, and ends the
// broker with a stop or a kill.
func newCorpse(t *testing.T, kill bool) *corpse {
	t.Helper()
	c := &corpse{dir: filepath.Join(t.TempDir(), "data"), records: map[string]map[int64]string{}}
	b, err := harness.Start(harness.Config{Dir: c.dir, Set: corpseSettings})
	if err != nil {
		t.Fatal(err)
	}
	policy := "compact"
	codecs := []kgo.CompressionCodec{kgo.NoCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()}
	for i, topic := range []string{"plain", "packed", "table"} {
		configs := map[string]*string{}
		if topic == "table" {
			configs["cleanup.policy"] = &policy
		}
		createTopic(t, b, topic, 1, configs)
		c.records[topic] = map[int64]string{}
		cl := newClient(t, b, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(30_000), kgo.ProducerBatchCompression(codecs[i%2*(1+i/2)]))
		var list []*kgo.Record
		for n := range 3000 {
			list = append(list, &kgo.Record{Key: fmt.Appendf(nil, "key-%d", n%50), Value: fmt.Appendf(nil, "%s %d %0700d", topic, n, n*n)})
		}
		for _, r := range cl.ProduceSync(testContext(t), list...) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
			c.records[topic][r.Record.Offset] = string(r.Record.Key) + "=" + string(r.Record.Value)
		}
	}
	if kill {
		err = b.Kill()
	} else {
		_, err = b.Stop()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pinion runs the binary and returns its exit code.
func pinion(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	path, err := harness.Binary()
	if err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), complaints.String()
}

// hurt does one thing to one file of the directory, and says what.
func hurt(t *testing.T, random *rand.Rand, dir string) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && d.Name() != ".lock" {
			if info, err := d.Info(); err == nil && info.Size() > 0 {
				files = append(files, path)
			}
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	// Every kind of file alike, not every file.
	kinds := map[string][]string{}
	var names []string
	for _, f := range files {
		kind := filepath.Ext(f)
		if kind == "" {
			kind = filepath.Base(f)
		}
		if kinds[kind] == nil {
			names = append(names, kind)
		}
		kinds[kind] = append(kinds[kind], f)
	}
	of := kinds[names[random.IntN(len(names))]]
	file := of[random.IntN(len(of))]
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	pages := (len(raw) + page - 1) / page
	at := random.IntN(pages)
	cut := func(n int) []byte { return raw[n*page : min((n+1)*page, len(raw))] }
	what := ""
	switch kind := random.IntN(4); {
	case kind == 0:
		bit := random.IntN(len(raw) * 8)
		raw[bit/8] ^= 1 << (bit % 8)
		what = fmt.Sprintf("bit %d flipped", bit)
	case kind == 1:
		clear(cut(at))
		what = fmt.Sprintf("page %d of %d zeroed", at, pages)
	case kind == 2 && pages > 2:
		a, b := random.IntN(pages-1), random.IntN(pages-1) // whole ones
		swap := bytes.Clone(cut(a))
		copy(cut(a), cut(b))
		copy(cut(b), swap)
		what = fmt.Sprintf("pages %d and %d swapped", a, b)
	default:
		n := random.IntN(len(raw))
		raw = raw[:n]
		what = fmt.Sprintf("cut to %d bytes", n)
	}
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	name, _ := filepath.Rel(dir, file)
	return name + ": " + what
}

// serves starts a broker on the directory and reads what it gives out: nothing that was not written, and no crash. It reports whether
// everything was there and whether the broker ran.
func (c *corpse) serves(t *testing.T, what, dir string, live func(b *harness.Broker)) (whole, ran bool) {
	t.Helper()
	b, err := harness.Launch(harness.Config{Dir: dir, Set: corpseSettings})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Kill() }()
	select {
	case <-b.Ended():
		if log := b.Log(); !strings.Contains(log, "error: ") || crashed(log) {
			t.Errorf("%s: the broker ends without saying why:\n%s", what, log)
		}
		return false, false
	case <-b.Serving():
	}
	if live != nil {
		live(b)
	}
	whole = true
	for topic, records := range c.records {
		whole = c.reads(t, what, b, topic, records) && whole
	}
	if _, err := b.Stop(); err != nil || crashed(b.Log()) {
		t.Errorf("%s: %v\n%s", what, err, b.Log())
	}
	return whole, true
}

func crashed(log string) bool {
	return strings.Contains(log, "goroutine ") || strings.Contains(log, "panic:") || strings.Contains(log, "SIGBUS") || strings.Contains(log, "fatal error")
}

// quiet is how long a topic gives nothing before it has given all it has: a partition that is offline gives nothing for ever.
const quiet = 700 * time.Millisecond

// reads reads a topic as far as it goes.
func (c *corpse) reads(t *testing.T, what string, b *harness.Broker, topic string, records map[int64]string) bool {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr), kgo.RetryTimeout(quiet),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	seen, last := map[string]bool{}, int64(-1)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), quiet)
		fetches := cl.PollFetches(ctx)
		cancel()
		got := fetches.Records()
		for _, r := range got {
			text := string(r.Key) + "=" + string(r.Value)
			if records[r.Offset] != text || r.Offset <= last {
				t.Errorf("%s: %s at %d behind %d is %.60q, was %.60q", what, topic, r.Offset, last, text, records[r.Offset])
				return false
			}
			last = r.Offset
			seen[string(r.Key)] = true
		}
		if len(got) == 0 || last == int64(len(records)-1) {
			return last == int64(len(records)-1) && len(seen) == 50
		}
	}
}

// TestCorruptDirectories hurts every kind of file of a data directory and starts a broker on it, or hurts it under a running broker: no byte is
// served that was not written, nothing crashes, and what is not whole any more is said, by the broker and by `pinion check`. CORRUPT_CASES
// makes it longer, CORRUPT_SEED repeats one.
func TestCorruptDirectories(t *testing.T) {
	cases, seed := 12, rand.Uint64()
	if text := os.Getenv("CORRUPT_CASES"); text != "" {
		cases, _ = strconv.Atoi(text)
	}
	if text := os.Getenv("CORRUPT_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	corpses := []*corpse{newCorpse(t, false), newCorpse(t, true)}
	sound, refused, ran, silent := 0, 0, 0, 0
	for n := range cases {
		random := rand.New(rand.NewPCG(seed, uint64(n)))
		c := corpses[n%2]
		dir := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(dir, os.DirFS(c.dir)); err != nil {
			t.Fatal(err)
		}
		live := n%4 >= 2
		what := ""
		var during func(*harness.Broker)
		if live {
			during = func(*harness.Broker) { what = "live, " + hurt(t, random, dir) }
		} else {
			what = hurt(t, random, dir)
			code, out, complaints := pinion(t, "check", dir, "-o", "json")
			if crashed(complaints) || code != 0 && code != 1 && code != 4 && code != 78 || code == 4 && !json.Valid([]byte(out)) {
				t.Errorf("%s: check gives %d\n%s%s", what, code, out, complaints)
			}
			if code == 0 {
				sound++
			}
			whole, _ := c.serves(t, what, dir, nil)
			if code == 0 && !whole && !strings.Contains(out, "problem") {
				silent++
				t.Errorf("%s (CORRUPT_SEED=%d, case %d): check finds nothing, and records are missing", what, seed, n)
			}
			continue
		}
		whole, started := c.serves(t, "live", dir, during)
		if ran++; !started {
			refused++
		}
		_ = whole
	}
	t.Logf("seed %d: %d cases, %d of them live; check found %d sound or mended by a start", seed, cases, ran, sound)
	if refused > 0 || silent > 0 {
		t.Errorf("%d brokers did not start on a sound directory", refused)
	}
}

// TestCheck: sound after a stop and after a kill; a broker at work is not disturbed; damage is named; nothing is changed.
func TestCheck(t *testing.T) {
	for _, kill := range []bool{false, true} {
		c := newCorpse(t, kill)
		code, out, complaints := pinion(t, "check", c.dir)
		if code != 0 || !strings.Contains(out, "sound") || !strings.Contains(out, "3 topics; 3 partitions") {
			t.Fatalf("kill %v: %d\n%s%s", kill, code, out, complaints)
		}
		if kill {
			continue
		}
		b, err := harness.Start(harness.Config{Dir: c.dir, Set: corpseSettings})
		if err != nil {
			t.Fatal(err)
		}
		code, _, complaints = pinion(t, "check", c.dir)
		if code != 1 || !strings.Contains(complaints, "locked by another process") || !strings.Contains(complaints, "stop the broker") {
			t.Errorf("beside a broker: %d\n%s", code, complaints)
		}
		if _, err := b.Stop(); err != nil {
			t.Fatal(err)
		}
		folder, aside := filepath.Join(c.dir, "packed-0"), filepath.Join(t.TempDir(), "packed-0")
		if err := os.Rename(folder, aside); err != nil {
			t.Fatal(err)
		}
		if code, out, _ := pinion(t, "check", c.dir); code != 4 || !strings.Contains(out, "packed-0") || !strings.Contains(out, "the log ends at 0, and 3000 was durable") {
			t.Errorf("a folder is lost: %d\n%s", code, out)
		}
		if err := os.Rename(aside, folder); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(c.dir, "plain-0", fmt.Sprintf("%020d.log", 0))
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		raw[100_000] ^= 4
		if err := os.WriteFile(name, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		var reports []struct {
			Findings []struct {
				File    string
				Problem string
				Mended  bool `json:"mended_by_start"`
			}
		}
		code, out, _ = pinion(t, "check", c.dir, "-o", "json")
		if err := json.Unmarshal([]byte(out), &reports); err != nil || code != 4 || len(reports) != 1 || len(reports[0].Findings) == 0 ||
			!strings.HasPrefix(reports[0].Findings[0].File, "plain-0/") || reports[0].Findings[0].Mended {
			t.Errorf("damage: %d, %v\n%s", code, err, out)
		}
		if code, out, _ := pinion(t, "debug", "segment", name); code != 4 || strings.Count(out, "crc wrong") != 1 || !strings.Contains(out, "producer ") {
			t.Errorf("debug segment: %d\n%.2000s", code, out)
		}
	}
	empty := t.TempDir()
	if code, _, complaints := pinion(t, "check", empty); code != 78 || !strings.Contains(complaints, "not a broker's data directory") {
		t.Errorf("an empty directory: %d, %s", code, complaints)
	}
	if code, _, complaints := pinion(t, "check", filepath.Join(empty, "none")); code != 1 || !strings.Contains(complaints, "no such file") {
		t.Errorf("no directory: %d, %s", code, complaints)
	}
}

func TestDebugSegment(t *testing.T) {
	c := newCorpse(t, false)
	part := filepath.Join(c.dir, "packed-0", fmt.Sprintf("%020d", 0))
	code, out, complaints := pinion(t, "debug", "segment", part+".log", "--records", "-o", "json")
	var batches []struct {
		BaseOffset int64 `json:"base_offset"`
		Records    int32
		CRC        string
		Codec      string
		List       []struct {
			Offset     int64
			Key, Value *string
		}
	}
	if err := json.Unmarshal([]byte(out), &batches); err != nil || code != 0 || len(batches) == 0 {
		t.Fatalf("%d, %v\n%s", code, err, complaints)
	}
	for _, b := range batches {
		if b.CRC != "ok" || len(b.List) != int(b.Records) || b.Codec == "none" {
			t.Fatalf("%+v", b)
		}
		for _, r := range b.List {
			if *r.Key+"="+*r.Value != c.records["packed"][r.Offset] {
				t.Fatalf("record at %d", r.Offset)
			}
		}
	}
	for suffix, header := range map[string]string{".index": "OFFSET", ".timeindex": "TIMESTAMP"} {
		if code, out, _ := pinion(t, "debug", "segment", part+suffix); code != 0 || !strings.Contains(out, header) || strings.Count(out, "\n") < 2 {
			t.Errorf("%s: %d\n%s", suffix, code, out)
		}
	}
	if code, _, _ := pinion(t, "debug", "segment", filepath.Join(c.dir, "meta.properties")); code != 2 {
		t.Errorf("another file: %d", code)
	}
}
