// Command demo shows that what goes into a broker comes out again, with clients that others wrote. It gathers text that lies on
// this machine, sends it line by line through kcat into topic A and through franz-go into topic B, reads A back with franz-go and B
// with kcat, and compares SHA-256 sums of all four streams. It prints how fast each leg was and what it cost the broker, exits with
// 1 if anything differs, and leaves nothing behind. It uses no network but the loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// partitions of each topic.
const partitions = 4

func main() {
	bytes := flag.Int64("bytes", 1_000_000_000, "how much text to send through each topic at least; the keys come on top")
	binary := flag.String("pinion", "", "the broker's binary; built if empty")
	shards := flag.Int("shards", runtime.NumCPU(), "shards of the broker")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	equal, err := run(ctx, os.Stdout, *bytes, harness.Config{Binary: *binary, Shards: *shards})
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	case !equal:
		os.Exit(1)
	}
}

// leg is one pass of the whole text between a client and the broker.
type leg struct {
	name string
	run  func(ctx context.Context) (*ledger, error)

	sums   *ledger
	took   time.Duration
	broker time.Duration // processor time
}

func run(ctx context.Context, out io.Writer, bytes int64, config harness.Config) (equal bool, err error) {
	kcat, err := exec.LookPath("kcat")
	if err != nil {
		return false, errors.New("kcat is not installed; `make test` installs it where it may")
	}
	text, err := gather(bytes)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "text        %d files, read %.1f times\n", len(text.files), text.rounds())
	if config.Dir, err = os.MkdirTemp("", "pinion-demo-"); err != nil {
		return false, fmt.Errorf("folder for the broker: %w", err)
	}
	defer os.RemoveAll(config.Dir)
	b, err := harness.Start(config)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, b.Kill()) }()
	if err := createTopics(ctx, b.Addr, "A", "B"); err != nil {
		return false, err
	}
	legs := []leg{
		{name: "A  kcat -> pinion", run: func(ctx context.Context) (*ledger, error) { return sendKcat(ctx, kcat, b.Addr, "A", text) }},
		{name: "A  pinion -> franz-go", run: func(ctx context.Context) (*ledger, error) { return readFranz(ctx, b.Addr, "A") }},
		{name: "B  franz-go -> pinion", run: func(ctx context.Context) (*ledger, error) { return sendFranz(ctx, b.Addr, "B", text) }},
		{name: "B  pinion -> kcat", run: func(ctx context.Context) (*ledger, error) { return readKcat(ctx, kcat, b.Addr, "B") }},
	}
	for i := range legs {
		if err := legs[i].measure(ctx, b); err != nil {
			return false, fmt.Errorf("%s: %w\n%s", legs[i].name, err, b.Log())
		}
	}
	if code, err := b.Stop(); err != nil || code != 0 {
		return false, fmt.Errorf("the broker ended with code %d: %w", code, err)
	}
	return report(out, legs), nil
}

// measure runs a leg and counts what it took.
func (l *leg) measure(ctx context.Context, b *harness.Broker) error {
	before, err := b.Usage()
	if err != nil {
		return err
	}
	began := time.Now()
	if l.sums, err = l.run(ctx); err != nil {
		return err
	}
	l.took = time.Since(began)
	after, err := b.Usage()
	l.broker = after.CPU() - before.CPU()
	return err
}

func createTopics(ctx context.Context, addr string, names ...string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return err
	}
	defer cl.Close()
	list, err := kadm.NewClient(cl).CreateTopics(ctx, partitions, 1, nil, names...)
	if err == nil {
		err = list.Error()
	}
	if err != nil {
		return fmt.Errorf("create topics: %w", err)
	}
	return nil
}

// report prints the table and the verdict.
func report(out io.Writer, legs []leg) (equal bool) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "LEG\tSECONDS\tRECORDS\tMB\tMB/S\tRECORDS/S\tBROKER CPU S/GB\t")
	for _, l := range legs {
		records, bytes := l.sums.total()
		seconds := l.took.Seconds()
		fmt.Fprintf(table, "%s\t%.1f\t%d\t%.0f\t%.1f\t%.0f\t%.2f\t\n", l.name, seconds, records,
			float64(bytes)/1e6, float64(bytes)/1e6/seconds, float64(records)/seconds, l.broker.Seconds()/(float64(bytes)/1e9))
	}
	_ = table.Flush()
	fmt.Fprintln(out, "\nSHA-256 over the sums of partitions 0 to 3; each is over the partition's records in the order of their offsets,")
	fmt.Fprintln(out, "a record being the length of the key, the key, the length of the value, the value; lengths as 32 bits, big endian.")
	equal = true
	for _, l := range legs {
		fmt.Fprintf(out, "  %x  %s\n", l.sums.sum(), l.name)
		equal = equal && l.sums.sum() == legs[0].sums.sum()
	}
	if equal {
		fmt.Fprintln(out, "EQUAL: both topics gave back exactly what went in")
	} else {
		fmt.Fprintln(out, "DIFFERENT")
	}
	return equal
}
