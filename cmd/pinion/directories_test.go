package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// dirsOf makes the paths of so many log directories.
func dirsOf(t *testing.T, n int) []string {
	t.Helper()
	root := t.TempDir()
	var all []string
	for i := range n {
		all = append(all, filepath.Join(root, string(rune('a'+i))))
	}
	return all
}

// runDirs starts a broker on several log directories.
func runDirs(t *testing.T, dirs []string, set ...string) *harness.Broker {
	t.Helper()
	b, err := harness.Start(harness.Config{Dir: strings.Join(dirs, ","), Shards: 2, Set: set})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Kill() })
	return b
}

// refusedDirs starts a broker that must end with 78 and says why.
func refusedDirs(t *testing.T, dirs []string, want ...string) {
	t.Helper()
	b, err := harness.Launch(harness.Config{Dir: strings.Join(dirs, ",")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Kill() }()
	select {
	case <-b.Serving():
		t.Fatalf("it serves:\n%s", b.Log())
	case <-b.Ended():
	}
	if code, err := b.Stop(); err == nil && code != 78 {
		t.Errorf("exit code %d", code)
	}
	for _, w := range want {
		if !strings.Contains(b.Log(), w) {
			t.Errorf("it does not say %q:\n%s", w, b.Log())
		}
	}
}

// produceTo acknowledges records in partitions [0, n) of a topic, so many each.
func produceTo(t *testing.T, b *harness.Broker, topic string, n int, each int) {
	t.Helper()
	cl := newClient(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	var records []*kgo.Record
	for p := range n {
		for i := range each {
			records = append(records, &kgo.Record{Topic: topic, Partition: int32(p), Value: fmt.Appendf(nil, "%d of %d", i, p)})
		}
	}
	if err := cl.ProduceSync(testContext(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// produceOnce tries one record and gives what it was answered with.
func produceOnce(t *testing.T, b *harness.Broker, topic string, p int32) error {
	t.Helper()
	cl := newClient(t, b, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	defer cl.Close()
	return cl.ProduceSync(testContext(t), &kgo.Record{Topic: topic, Partition: p, Value: []byte("once")}).FirstErr()
}

// logDirs is what DescribeLogDirs says: by directory its error and its partitions.
func logDirs(t *testing.T, b *harness.Broker) map[string]kadm.DescribedLogDir {
	t.Helper()
	all, err := kadm.NewClient(newClient(t, b)).DescribeAllLogDirs(testContext(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, dirs := range all {
		return dirs
	}
	return nil
}

// homeOf is where each partition of a topic lies.
func homeOf(t *testing.T, b *harness.Broker, topic string) map[int32]string {
	t.Helper()
	at := map[int32]string{}
	for path, d := range logDirs(t, b) {
		for p := range d.Topics[topic] {
			at[p] = path
		}
	}
	return at
}

// ready is what /readyz says once recovery, which goes on behind, is over.
func ready(t *testing.T, b *harness.Broker) string {
	t.Helper()
	for end := time.Now().Add(clientsMax); ; time.Sleep(5 * time.Millisecond) { // between two looks
		if text := asked(t, b, "/readyz?verbose"); strings.HasPrefix(text, "200") || time.Now().After(end) {
			return text
		}
	}
}

// asked is what the admin server answers: status and text.
func asked(t *testing.T, b *harness.Broker, path string) string {
	t.Helper()
	res, err := http.Get(b.Admin + path)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res.Status + " " + string(text)
}

// offlinePartitions is how many the metrics count.
func offlinePartitions(t *testing.T, b *harness.Broker) (n int) {
	t.Helper()
	_, line, _ := strings.Cut(asked(t, b, "/metrics"), "\nkafka_controller_kafkacontroller_offlinepartitionscount ")
	if _, err := fmt.Sscan(line, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDirectoriesOverRestarts: new partitions go where there are fewest, and are found there whatever the order of log.dirs; a directory is
// added; one that is named no more, or is not mounted, takes its partitions offline and nothing is made anew elsewhere.
func TestDirectoriesOverRestarts(t *testing.T) {
	dirs := dirsOf(t, 3)
	b := runDirs(t, dirs[:1])
	createTopic(t, b, "old", 2, nil)
	produceTo(t, b, "old", 2, 10)
	b.MustStop(t)

	b = runDirs(t, dirs)
	createTopic(t, b, "new", 4, nil)
	produceTo(t, b, "new", 4, 10)
	if at := homeOf(t, b, "old"); at[0] != dirs[0] || at[1] != dirs[0] {
		t.Errorf("what there was lies in %v", at)
	}
	where := homeOf(t, b, "new")
	if len(where) != 4 || where[0] == dirs[0] || where[1] == dirs[0] || where[0] == where[1] || where[2] == where[3] {
		t.Errorf("four more lie in %v", where)
	}
	if code, out, complaints := pinion(t, "topic", "describe", "new", "--brokers", b.Addr); code != 0 || !strings.Contains(out, "LOG-DIR") || !strings.Contains(out, dirs[1]) || !strings.Contains(out, dirs[2]) {
		t.Errorf("topic describe gives %d\n%s%s", code, out, complaints)
	}
	if code, out, complaints := pinion(t, "cluster", "logdirs", "--brokers", b.Addr); code != 0 || strings.Count(out, "iB") < 6 {
		t.Errorf("cluster logdirs gives %d\n%s%s", code, out, complaints)
	}
	var listed []struct {
		Dir        string `json:"log_dir"`
		Partitions int
		Total      int64 `json:"total_bytes"`
	}
	code, out, complaints := pinion(t, "cluster", "logdirs", "--brokers", b.Addr, "-o", "json")
	if err := json.Unmarshal([]byte(out), &listed); code != 0 || err != nil || len(listed) != 3 || listed[0].Dir != dirs[0] || listed[1].Partitions == 0 || listed[2].Total == 0 {
		t.Errorf("cluster logdirs as JSON gives %d, %v\n%s%s", code, err, out, complaints)
	}
	for p, dir := range where {
		if _, err := os.Stat(filepath.Join(dir, fmt.Sprint("new-", p))); err != nil {
			t.Error(err)
		}
	}
	if err := b.Kill(); err != nil { // the journals have what the segments may lack
		t.Fatal(err)
	}

	refusedDirs(t, []string{dirs[1], dirs[0], dirs[2]}, "holds the metadata log", "metadata.log.dir")
	b = runDirs(t, []string{dirs[0], dirs[2], dirs[1]})
	if at := homeOf(t, b, "new"); fmt.Sprint(at) != fmt.Sprint(where) {
		t.Errorf("another order of log.dirs: %v, was %v", at, where)
	}
	for _, topic := range []string{"old", "new"} {
		for p, end := range ends(t, b, topic) {
			if end != 10 {
				t.Errorf("%s-%d ends at %d", topic, p, end)
			}
		}
	}
	b.MustStop(t)
	if code, out, complaints := pinion(t, append([]string{"check"}, dirs...)...); code != 0 || strings.Contains(out, "was not looked at") {
		t.Errorf("check gives %d\n%s%s", code, out, complaints)
	}
	if code, out, _ := pinion(t, "check", dirs[0]); code != 0 || !strings.Contains(out, dirs[1]) || !strings.Contains(out, "was not looked at") {
		t.Errorf("check of one of three gives %d\n%s", code, out)
	}

	// Of a directory that is named no more nothing is made anew.
	b = runDirs(t, dirs[:2])
	gone := int32(-1)
	for p, dir := range where {
		if dir == dirs[2] {
			gone = p
			if err := produceOnce(t, b, "new", p); !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("a produce to what is missing: %v", err)
			}
		} else if err := produceOnce(t, b, "new", p); err != nil {
			t.Errorf("a produce to what is there: %v", err)
		}
	}
	if !strings.Contains(b.Log(), "not in log.dirs any more") || !strings.Contains(b.Log(), dirs[2]) {
		t.Errorf("it says:\n%s", b.Log())
	}
	createTopic(t, b, "later", 3, nil)
	produceTo(t, b, "later", 3, 1)
	b.MustStop(t)

	// A disk that is not mounted leaves an empty directory.
	aside := dirs[2] + ".disk"
	if err := os.Rename(dirs[2], aside); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dirs[2], 0o700); err != nil {
		t.Fatal(err)
	}
	b = runDirs(t, dirs)
	if err := produceOnce(t, b, "new", gone); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("a produce to what is not mounted: %v", err)
	}
	if offlinePartitions(t, b) == 0 {
		t.Error("the metric does not count what is not mounted")
	}
	if code, out, complaints := pinion(t, "cluster", "logdirs", "--brokers", b.Addr); code != 0 || strings.Count(out, "KAFKA_STORAGE_ERROR") != 1 {
		t.Errorf("cluster logdirs gives %d\n%s%s", code, out, complaints)
	}
	if d := logDirs(t, b)[dirs[2]]; !errors.Is(d.Err, kerr.KafkaStorageError) {
		t.Errorf("DescribeLogDirs of what is not mounted: %+v", d)
	}
	if !strings.Contains(b.Log(), "is its disk mounted?") || !strings.Contains(ready(t, b), dirs[2]) || !strings.HasPrefix(ready(t, b), "200") {
		t.Errorf("%s\n%s", ready(t, b), b.Log())
	}
	if left, err := os.ReadDir(dirs[2]); err != nil || len(left) != 0 {
		t.Errorf("the place of the disk holds %v, %v", left, err)
	}
	b.MustStop(t)
	if err := os.Remove(dirs[2]); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(aside, dirs[2]); err != nil {
		t.Fatal(err)
	}
	b = runDirs(t, dirs)
	if end := ends(t, b, "new")[gone]; end != 10 {
		t.Errorf("mounted again it ends at %d", end)
	}
	b.MustStop(t)
}

// TestDirectoriesRefused: what would forget records is not started on.
func TestDirectoriesRefused(t *testing.T) {
	dirs := dirsOf(t, 2)
	b := runDirs(t, dirs)
	createTopic(t, b, "orders", 4, nil)
	produceTo(t, b, "orders", 4, 10)
	where := homeOf(t, b, "orders")
	b.MustStop(t)

	other := map[string]string{dirs[0]: dirs[1], dirs[1]: dirs[0]}
	folder := "orders-0"
	if err := os.CopyFS(filepath.Join(other[where[0]], folder), os.DirFS(filepath.Join(where[0], folder))); err != nil {
		t.Fatal(err)
	}
	refusedDirs(t, dirs, filepath.Join(dirs[0]), filepath.Join(dirs[1]), folder)
	// Moved by hand, as Kafka's operators do, it is found.
	if err := os.RemoveAll(filepath.Join(where[0], folder)); err != nil {
		t.Fatal(err)
	}
	if code, out, complaints := pinion(t, "check", dirs[0], dirs[1]); code != 0 {
		t.Errorf("check of one moved by hand gives %d\n%s%s", code, out, complaints)
	}
	b = runDirs(t, dirs)
	if at := homeOf(t, b, "orders"); at[0] != other[where[0]] || ends(t, b, "orders")[0] != 10 {
		t.Errorf("%v, ends %v", at, ends(t, b, "orders"))
	}
	b.MustStop(t)

	// Without its first directory the node would be a new one.
	if err := os.Rename(dirs[0], dirs[0]+".disk"); err != nil {
		t.Fatal(err)
	}
	refusedDirs(t, dirs, dirs[0], "is the disk mounted?")
	if err := os.RemoveAll(dirs[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dirs[0]+".disk", dirs[0]); err != nil {
		t.Fatal(err)
	}
	stranger := dirsOf(t, 1)
	b = runDirs(t, stranger)
	b.MustStop(t)
	refusedDirs(t, []string{dirs[0], dirs[1], stranger[0]}, stranger[0])
	b = runDirs(t, []string{dirs[1], dirs[0]}, "metadata.log.dir="+dirs[0])
	if len(ends(t, b, "orders")) != 4 {
		t.Error("metadata.log.dir is not followed")
	}
	b.MustStop(t)
}

// TestFailedDirectory: an error of one disk takes what lies there out of service, for good; everything else goes on: produce, fetch, create,
// delete, group commits.
func TestFailedDirectory(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed and could not be")
	}
	dirs := dirsOf(t, 2)
	b := runDirs(t, dirs, "offsets.topic.num.partitions=1") // which goes to the first
	cl := newClient(t, b, kgo.ConsumeTopics("warm"), kgo.ConsumerGroup("readers"))
	createTopic(t, b, "warm", 2, nil) // one in each directory
	produceTo(t, b, "warm", 1, 5)
	if got := cl.PollFetches(testContext(t)).NumRecords(); got == 0 {
		t.Fatal("nothing was read")
	}
	if err := cl.CommitUncommittedOffsets(testContext(t)); err != nil {
		t.Fatal(err)
	}
	createTopic(t, b, "orders", 4, nil)
	produceTo(t, b, "orders", 4, 10)
	where := homeOf(t, b, "orders")
	bad := dirs[1]
	if homeOf(t, b, "__consumer_offsets")[0] != dirs[0] {
		bad = dirs[0]
	}
	files, err := filepath.Glob(filepath.Join(bad, "journal", "*.journal"))
	if err != nil || len(files) == 0 {
		t.Fatal(err, "no journal in ", bad)
	}
	if bad == dirs[0] {
		t.Fatalf("the groups lie in %v", homeOf(t, b, "__consumer_offsets"))
	}
	args := []string{"-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", "-p", strconv.Itoa(b.Pid)}
	for _, name := range files {
		args = append(args, "-P", name)
	}
	trace := exec.Command("strace", args...)
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = trace.Process.Kill()
		_ = trace.Wait() // it ends by the signal
	}()
	var broken []int32
	for p, dir := range where {
		if dir == bad {
			broken = append(broken, p)
		}
	}
	if len(broken) == 0 || len(broken) == 4 {
		t.Fatalf("all lie in one directory: %v", where)
	}
	for end := time.Now().Add(clientsMax); !strings.Contains(b.Log(), "log directory fenced"); time.Sleep(10 * time.Millisecond) { // strace may not have attached yet
		_ = produceOnce(t, b, "orders", broken[0])
		if time.Now().After(end) {
			t.Fatalf("never fenced:\n%s", b.Log())
		}
	}
	_ = trace.Process.Kill() // a later sync that succeeds proves nothing
	for p, dir := range where {
		err := produceOnce(t, b, "orders", p)
		if dir == bad && !errors.Is(err, kerr.KafkaStorageError) || dir != bad && err != nil {
			t.Errorf("orders-%d in %s: %v", p, dir, err)
		}
	}
	for path, d := range logDirs(t, b) {
		if (path == bad) != errors.Is(d.Err, kerr.KafkaStorageError) {
			t.Errorf("DescribeLogDirs: %s: %v", path, d.Err)
		}
	}
	if text := ready(t, b); !strings.HasPrefix(text, "200") || !strings.Contains(text, bad) {
		t.Errorf("%s", text)
	}
	if text := asked(t, b, "/metrics"); !strings.Contains(text, "kafka_log_logmanager_offlinelogdirectorycount 1") {
		t.Error("the metric does not count it")
	}
	if offlinePartitions(t, b) < len(broken) {
		t.Error("the metric does not count its partitions")
	}
	produceTo(t, b, "warm", 1, 5)
	if got := cl.PollFetches(testContext(t)).NumRecords(); got == 0 {
		t.Error("nothing is read any more")
	}
	if err := cl.CommitUncommittedOffsets(testContext(t)); err != nil {
		t.Errorf("commit: %v", err)
	}
	cl.Close()
	createTopic(t, b, "after", 6, nil)
	produceTo(t, b, "after", 6, 1)
	for p, dir := range homeOf(t, b, "after") {
		if dir == bad {
			t.Errorf("after-%d lies in the fenced directory", p)
		}
	}
	deleted, err := kadm.NewClient(newClient(t, b)).DeleteTopics(testContext(t), "orders")
	if err != nil || deleted.Error() != nil {
		t.Errorf("delete: %v, %v", err, deleted.Error())
	}
	if code, err := b.Stop(); err != nil || code == 0 {
		t.Errorf("exit code %d, %v\n%s", code, err, b.Log())
	}
	b = runDirs(t, dirs)
	if end := ends(t, b, "after")[0]; end != 1 {
		t.Errorf("after-0 ends at %d", end)
	}
	b.MustStop(t)
}

// TestBackupOfDirectories: a backup of several directories is restored as several.
func TestBackupOfDirectories(t *testing.T) {
	dirs := dirsOf(t, 2)
	b := runDirs(t, dirs)
	createTopic(t, b, "orders", 4, nil)
	produceTo(t, b, "orders", 4, 10)
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "backup")
	if code, out, complaints := pinion(t, "backup", dirs[0], dirs[1], to); code != 0 {
		t.Fatalf("backup gives %d\n%s%s", code, out, complaints)
	}
	if code, out, _ := pinion(t, "check", dirs[0]); code != 0 || !strings.Contains(out, "was not looked at") || strings.Contains(out, "puts right") {
		t.Errorf("check of one gives %d\n%s", code, out)
	}
	again := dirsOf(t, 2)
	if code, _, complaints := pinion(t, "restore", to, again[0]); code == 0 || !strings.Contains(complaints, "2 log directories") {
		t.Errorf("restore into one gives %d: %s", code, complaints)
	}
	if code, out, complaints := pinion(t, "restore", to, again[0], again[1]); code != 0 {
		t.Fatalf("restore gives %d\n%s%s", code, out, complaints)
	}
	b = runDirs(t, again)
	for p, end := range ends(t, b, "orders") {
		if end != 10 {
			t.Errorf("orders-%d ends at %d", p, end)
		}
	}
	b.MustStop(t)
}
