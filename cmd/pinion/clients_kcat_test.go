package main_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// kcatPath finds kcat (librdkafka), or skips.
func kcatPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("kcat")
	if err != nil {
		t.Skip("kcat is not installed; `make test` installs it where it may")
	}
	return path
}

// kcat runs kcat against the broker and returns what it wrote.
func kcat(t *testing.T, b *harness.Broker, stdin io.Reader, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(testContext(t), kcatPath(t), append([]string{"-b", b.Addr, "-q"}, args...)...)
	var out, problems bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &problems
	if err := cmd.Run(); err != nil {
		t.Fatalf("kcat %s: %v\n%s", strings.Join(args, " "), err, problems.Bytes())
	}
	return out.Bytes()
}

// Delimiters that no key or value of these tests contains.
const (
	kcatRecordEnd = 0x1e
	kcatKeyEnd    = 0x1f
)

// kcatValue is value i: a number, then bytes of any kind but the delimiters, newlines and zeros among them.
func kcatValue(i int) []byte {
	random := rand.New(rand.NewPCG(recordSeed, uint64(i)))
	v := make([]byte, random.IntN(150))
	fillText(random, v)
	for j := range v {
		if v[j] == kcatRecordEnd || v[j] == kcatKeyEnd {
			v[j] = ' '
		}
	}
	return append(fmt.Appendf(nil, "%d:", i), v...)
}

// kcat sends with every codec, acknowledgement and idempotence; franz-go reads every byte of it, in order in each partition.
func TestClientsFranzGoReadsWhatKcatSent(t *testing.T) {
	kcatPath(t)
	b := harness.Run(t, harness.Config{Shards: 2})
	ways := [][]string{
		{"-X", "acks=all", "-X", "enable.idempotence=true"},
		{"-X", "acks=all"},
		{"-X", "acks=1"},
		{"-X", "acks=0"},
	}
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			topic := "kcat-" + c.name
			createTopic(t, b, topic, 3, nil)
			at := 0
			before := time.Now()
			for _, way := range ways {
				to := at + 25_000
				args := append([]string{"-P", "-t", topic, "-z", c.name, "-Z", "-D", `\x1e`, "-K", `\x1f`, "-H", "a=b", "-H", "empty"}, way...)
				kcat(t, b, kcatInput(at, to), args...)
				at = to
			}
			checkKcat(t, b, topic, at, before)
		})
	}
}

// kcatInput is what kcat makes the records [from, to) of: every fifth without a key, every eleventh with an empty value, which -Z
// makes null.
func kcatInput(from, to int) io.Reader {
	var in bytes.Buffer
	for i := from; i < to; i++ {
		if i%5 != 0 {
			fmt.Fprintf(&in, "key %d%c", i, kcatKeyEnd)
			if i%11 != 0 {
				in.Write(kcatValue(i))
			}
		} else {
			in.Write(kcatValue(i))
		}
		in.WriteByte(kcatRecordEnd)
	}
	return &in
}

// checkKcat wants every record once. The partition was kcat's choice, so order is seen from the numbers inside.
func checkKcat(t *testing.T, b *harness.Broker, topic string, n int, before time.Time) {
	t.Helper()
	want := map[int32]int{}
	for deadline := time.Now().Add(10 * time.Second); ; {
		total := 0
		for p, end := range ends(t, b, topic) {
			want[p], total = int(end), total+int(end)
		}
		if total >= n || time.Now().After(deadline) {
			break // acks=0 arrives when it arrives
		}
	}
	cl := newClient(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := make([]bool, n)
	for p, list := range read(t, cl, want) {
		last := -1
		for _, r := range list {
			i := kcatNumber(t, r)
			if i < 0 || i >= n || seen[i] || i <= last {
				t.Fatalf("partition %d: record %d after %d (seen before: %v)", p, i, last, i >= 0 && i < n && seen[i])
			}
			seen[i], last = true, i
			if len(r.Headers) != 2 || r.Headers[0].Key != "a" || string(r.Headers[0].Value) != "b" || r.Headers[1].Key != "empty" {
				t.Fatalf("record %d: headers %v", i, r.Headers)
			}
			if r.Timestamp.Before(before.Add(-time.Second)) || r.Timestamp.After(time.Now().Add(time.Second)) {
				t.Fatalf("record %d: created at %v", i, r.Timestamp)
			}
		}
	}
	for i, ok := range seen {
		if !ok {
			t.Fatalf("record %d is missing", i)
		}
	}
}

// kcatNumber checks a record's key and value against the number they name.
func kcatNumber(t *testing.T, r *kgo.Record) int {
	t.Helper()
	text := string(r.Value)
	if r.Value == nil {
		text, _ = strings.CutPrefix(string(r.Key), "key ")
	}
	digits, _, _ := strings.Cut(text, ":")
	i, err := strconv.Atoi(digits)
	if err != nil {
		t.Fatalf("key %q value %q: no number", r.Key, r.Value)
	}
	var key, value []byte
	if i%5 != 0 {
		key = fmt.Appendf(nil, "key %d", i)
	}
	if i%5 == 0 || i%11 != 0 {
		value = kcatValue(i)
	}
	if !sameBytes(r.Key, key) || !sameBytes(r.Value, value) {
		t.Fatalf("record %d: key %q value %q, want %q %q", i, r.Key, r.Value, key, value)
	}
	return i
}

// kcatFormat gives lengths before bytes, so that any bytes can follow.
const kcatFormat = `%p %o %T %K %S %h\x1e%k%s`

// franz-go sends with every codec; kcat reads every byte of it from the beginning, and from each other place it can start at.
func TestClientsKcatReadsWhatFranzGoSent(t *testing.T) {
	kcatPath(t)
	b := harness.Run(t, harness.Config{Shards: 2})
	const n, partitions = 100_000, 4
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			topic := "franz-" + c.name
			createTopic(t, b, topic, partitions, nil)
			produceTest(t, b, topic, 0, n, partitions, kgo.ProducerBatchCompression(c.codec))
			out := kcat(t, b, nil, "-C", "-t", topic, "-e", "-o", "beginning", "-f", kcatFormat)
			if got := checkFormatted(t, out, topic, partitions, 0); got != n {
				t.Fatalf("kcat read %d records, want %d", got, n)
			}
		})
	}
	if t.Failed() {
		return
	}
	const perPartition = n / partitions
	const middle = 30_000 // its time is the time of the first of three records in a row
	places := []struct {
		offset string
		first  int64
		want   int
	}{
		{"12345", 12_345, perPartition - 12_345},
		{"-7", perPartition - 7, 7},
		{"end", perPartition, 0},
		{fmt.Sprintf("s@%d", testTimestamp(middle)), middle / partitions, perPartition - middle/partitions},
	}
	for _, place := range places {
		t.Run("from "+place.offset, func(t *testing.T) {
			out := kcat(t, b, nil, "-C", "-t", "franz-lz4", "-p", "0", "-e", "-o", place.offset, "-f", kcatFormat)
			if got := checkFormatted(t, out, "franz-lz4", partitions, place.first); got != place.want {
				t.Fatalf("kcat read %d records, want %d", got, place.want)
			}
		})
	}
}

// checkFormatted reads kcat's output back into records and compares each; it returns how many there are.
func checkFormatted(t *testing.T, out []byte, topic string, partitions int32, first int64) int {
	t.Helper()
	in := bufio.NewReader(bytes.NewReader(out))
	next := map[int32]int64{}
	for n := 0; ; n++ {
		head, err := in.ReadString(kcatRecordEnd)
		if err == io.EOF && head == "" {
			return n
		}
		fields := strings.SplitN(strings.TrimSuffix(head, string(rune(kcatRecordEnd))), " ", 6)
		if err != nil || len(fields) != 6 {
			t.Fatalf("record %d: head %q: %v", n, head, err)
		}
		var numbers [5]int64
		for i := range numbers {
			if numbers[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
				t.Fatalf("record %d: head %q: %v", n, head, err)
			}
		}
		p, offset := int32(numbers[0]), numbers[1]
		if _, ok := next[p]; !ok {
			next[p] = first
		}
		if offset != next[p] {
			t.Fatalf("partition %d: offset %d, want %d", p, offset, next[p])
		}
		next[p]++
		want := testRecord(topic, int(offset)*int(partitions)+int(p), partitions)
		got := &kgo.Record{Partition: p, Timestamp: time.UnixMilli(numbers[2]), Headers: want.Headers}
		got.Key, got.Value = take(t, in, numbers[3]), take(t, in, numbers[4])
		if d := differ(got, want); d != "" {
			t.Fatalf("partition %d offset %d: %s", p, offset, d)
		}
		if h := formatHeaders(want.Headers); fields[5] != h {
			t.Fatalf("partition %d offset %d: headers %q, want %q", p, offset, fields[5], h)
		}
	}
}

// take reads so many bytes; -1 is null.
func take(t *testing.T, in io.Reader, n int64) []byte {
	t.Helper()
	if n < 0 {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(in, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// formatHeaders writes headers as kcat does, which takes a value for a C string and ends it at a zero byte.
func formatHeaders(headers []kgo.RecordHeader) string {
	var parts []string
	for _, h := range headers {
		value := "NULL"
		if h.Value != nil {
			value, _, _ = strings.Cut(string(h.Value), "\x00")
		}
		parts = append(parts, h.Key+"="+value)
	}
	return strings.Join(parts, ",")
}

// kcat's other two modes: the list of topics, and the offset at a time.
func TestClientsKcatListsAndQueries(t *testing.T) {
	kcatPath(t)
	b := harness.Run(t, harness.Config{Shards: 2})
	createTopic(t, b, "listed", 3, nil)
	produceTest(t, b, "listed", 0, 90, 3)
	listing := string(kcat(t, b, nil, "-L", "-t", "listed"))
	for _, want := range []string{"broker 1 at " + b.Addr, `topic "listed" with 3 partitions`, "partition 2, leader 1, replicas: 1, isrs: 1"} {
		if !strings.Contains(listing, want) {
			t.Errorf("%q is not in the list:\n%s", want, listing)
		}
	}
	answer := string(kcat(t, b, nil, "-Q", "-t", fmt.Sprintf("listed:1:%d", testTimestamp(45))))
	if !strings.Contains(answer, "listed [1] offset 15") {
		t.Errorf("query answered %q", answer)
	}
}
