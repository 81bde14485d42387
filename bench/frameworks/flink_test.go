package frameworks

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	flinkMax        = 3 * time.Minute // for what takes seconds alone on two cores
	flinkPartitions = 3
	wordsWritten    = 2000 // in a phase
)

// A Flink job counts words. It fails once and goes on from its checkpoint, then it is killed and started with the newest one that it left: no word
// is lost or counted twice, every count that there ever was is in the topic of results, and each checkpoint commits what it covers.
func TestFlinkCountsThroughFailures(t *testing.T) {
	if !long {
		t.Skip("it takes a minute; `make frameworks` runs it")
	}
	jars, err := FlinkJars(t.Context())
	skipMissing(t, err)
	classpath, err := Compile(t.Context(), jars, t.TempDir(), "Counts.java")
	skipMissing(t, err)
	f := &flink{t: t, where: startPinion(t), classpath: classpath, state: filepath.Join(t.TempDir(), "checkpoints"), counts: map[string]int{}}
	f.admin = kadm.NewClient(newClient(t, f.where))
	for _, topic := range []string{"words", "counts"} {
		if _, err := f.admin.CreateTopic(testContext(t), flinkPartitions, 1, nil, topic); err != nil {
			t.Fatal(err)
		}
	}
	f.write()
	job := f.start("fail")
	f.committed("at first")
	f.write() // the first of these is behind a checkpoint
	f.await(job, "failed")
	twice := f.want("after a failure")
	f.committed("after a failure")
	if err := job.Stop(os.Kill); err != nil {
		t.Fatal(err)
	}
	f.write()
	job = f.start("go")
	f.await(job, "restored")
	f.committed("after a kill")
	again := f.want("after a kill")
	t.Logf("flink: %d words of %d kinds counted through a failure and a kill; %d counts were written twice for the first, %d for the second",
		f.phases*wordsWritten, len(f.counts), twice, again-twice)
}

// flink is a test of a Flink job: what it was given, and what has to come of it.
type flink struct {
	t                *testing.T
	where            side
	admin            *kadm.Client
	classpath, state string
	phases           int
	counts           map[string]int
}

// write gives the job another phase of words.
func (f *flink) write() {
	f.t.Helper()
	var records []*kgo.Record
	for i := range wordsWritten {
		word := vocabulary[(i*i+i/7+f.phases)%len(vocabulary)]
		f.counts[word]++
		records = append(records, &kgo.Record{Topic: "words", Partition: int32(i % flinkPartitions), Value: []byte(word)})
	}
	f.phases++
	sender := newClient(f.t, f.where, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := sender.ProduceSync(testContext(f.t), records...).FirstErr(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *flink) start(how string) *Process {
	f.t.Helper()
	p, err := Java(f.classpath, []string{warnings}, "Counts", f.where.addr, f.state, how)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { stop(f.t, p) })
	return p
}

func (f *flink) await(p *Process, words string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), flinkMax)
	defer cancel()
	if _, err := p.Await(ctx, words); err != nil {
		f.t.Fatal(err)
	}
}

// committed waits until a checkpoint has committed everything that was written.
func (f *flink) committed(when string) {
	f.t.Helper()
	for begun := time.Now(); ; time.Sleep(lookPause) {
		lag, err := f.admin.Lag(testContext(f.t), "flink")
		if err == nil {
			err = lag.Error() // there is no group before the first checkpoint
		}
		read, behind := 0, int64(0)
		for _, l := range lag["flink"].Lag.Sorted() {
			if l.Err == nil && l.Commit.At > 0 {
				read++
				behind += l.Lag
			}
		}
		if read == flinkPartitions && behind == 0 {
			return
		}
		if time.Since(begun) > flinkMax {
			f.t.Fatalf("%s: after %v %d of %d partitions are committed, %d records behind; %v", when, flinkMax, read, flinkPartitions, behind, err)
		}
	}
}

// want waits until the last count of each word has come and wants all those before it to be there, and none beyond. It returns how many came again.
func (f *flink) want(when string) (twice int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), flinkMax)
	defer cancel()
	reader := newClient(f.t, f.where, kgo.ConsumeTopics("counts"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	seen := map[string]map[int]bool{}
	missing := f.phases * wordsWritten
	for missing > 0 {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			f.t.Fatalf("%s: %v; %d of %d counts are missing", when, err, missing, f.phases*wordsWritten)
		}
		for _, r := range fetches.Records() {
			word, n := "", 0
			if _, err := fmt.Sscanf(string(r.Value), "%s %d", &word, &n); err != nil || !bytes.Equal(r.Key, []byte(word)) {
				f.t.Fatalf("%s: %q: %q: %v", when, r.Key, r.Value, err)
			}
			if n < 1 || n > f.counts[word] {
				f.t.Fatalf("%s: %s is counted %d times and was written %d times", when, word, n, f.counts[word])
			}
			if seen[word] == nil {
				seen[word] = map[int]bool{}
			}
			if seen[word][n] {
				twice++
				continue
			}
			seen[word][n] = true
			missing--
		}
	}
	return twice
}
