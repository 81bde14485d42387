package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type produceFlags struct {
	key       string
	keySet    bool
	format    string
	input     string
	codec     string
	acks      string
	headers   []string
	partition int32
	tombstone bool
}

// producedRecord is one row of `topic produce`.
type producedRecord struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"` // -1 with --acks 0
	Bytes     int     `json:"bytes"`  // of key and value
	AckMs     float64 `json:"ack_ms"`
	Error     string  `json:"error,omitempty"`
}

func newProduce(*console) *cobra.Command {
	var flags produceFlags
	cmd := &cobra.Command{
		Use:   "produce NAME",
		Short: "Send records read from stdin",
		Long: `Send records read from stdin, one a line; the line is the value.

--format reads other layouts, in kcat's and franz-go's language: '%k %v\n' is a key, a blank and a value; '%V{b4}%v' a value
behind its length. --input jsonl reads what "topic consume -f jsonl" writes, with key, headers and timestamp.`,
		Example: `  echo '{"id":1}' | pinion topic produce orders -k alice
  pinion topic consume a -e -f jsonl | pinion topic produce b --input jsonl`,
		Args: exactly(1, "the topic's name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.keySet = cmd.Flags().Changed("key")
			return produce(cmd, args[0], flags)
		},
	}
	cmd.Flags().StringVarP(&flags.key, "key", "k", "", "key of every record that brings none")
	cmd.Flags().StringVarP(&flags.format, "format", "f", `%v\n`, "layout of the input")
	cmd.Flags().StringVar(&flags.input, "input", "text", "text or jsonl")
	cmd.Flags().StringVarP(&flags.codec, "compression", "z", "none", "none, gzip, snappy, lz4 or zstd")
	cmd.Flags().StringVar(&flags.acks, "acks", "all", "all (-1), leader (1) or none (0)")
	cmd.Flags().StringArrayVarP(&flags.headers, "header", "H", nil, "header of every record, KEY=VALUE; repeatable")
	cmd.Flags().Int32VarP(&flags.partition, "partition", "p", -1, "partition; -1: by key")
	cmd.Flags().BoolVarP(&flags.tombstone, "tombstone", "Z", false, "send empty values as null")
	return cmd
}

func produce(cmd *cobra.Command, topic string, flags produceFlags) error {
	options, err := produceOptions(flags)
	if err != nil {
		return err
	}
	next, err := recordSource(cmd.InOrStdin(), flags)
	if err != nil {
		return err
	}
	report, err := newProduceReport(cmd)
	if err != nil {
		return err
	}
	client, err := newClient(cmd, options...)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := mustExist(cmd, client, topic); err != nil {
		return err
	}
	readErr := sendAll(cmd.Context(), client, topic, next, report)
	if err := report.close(); err != nil {
		return err
	}
	if readErr != nil {
		return readErr
	}
	return outcome(report.failed, report.total)
}

// sendAll sends until the input or the context ends, and waits for every answer. The promises run one at a time, so the report
// needs no lock; nobody else uses it before Flush returns.
func sendAll(ctx context.Context, client *kgo.Client, topic string, next func() (*kgo.Record, error), report *produceReport) error {
	var readErr error
	for report.total = 0; ctx.Err() == nil; report.total++ {
		record, err := next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				readErr = fmt.Errorf("record %d: %w", report.total+1, err)
			}
			break
		}
		record.Topic = topic
		sent := time.Now()
		client.Produce(ctx, record, func(r *kgo.Record, err error) { report.add(r, time.Since(sent), err) })
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return readErr
}

func produceOptions(flags produceFlags) ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.ProducerLinger(0), // a person waits for the answer; what is read faster than sent is batched anyway
		kgo.RecordDeliveryTimeout(30 * time.Second), kgo.UnknownTopicRetries(3),
	}
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	codec, ok := codecs[flags.codec]
	if !ok {
		return nil, usagef("--compression %s: want none, gzip, snappy, lz4 or zstd", flags.codec)
	}
	options = append(options, kgo.ProducerBatchCompression(codec))
	switch flags.acks {
	case "all", "-1":
	case "leader", "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "none", "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, usagef("--acks %s: want all, leader or none", flags.acks)
	}
	if flags.partition >= 0 {
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return options, nil
}

// recordSource gives a function that reads the next record and completes it from the flags; io.EOF ends the input.
func recordSource(in io.Reader, flags produceFlags) (func() (*kgo.Record, error), error) {
	var read func() (*kgo.Record, error)
	switch flags.input {
	case "jsonl":
		read = jsonSource(in)
	case "text":
		if strings.HasSuffix(flags.format, `\n`) || strings.HasSuffix(flags.format, "\n") {
			in = &lastLine{in: in}
		}
		reader, err := kgo.NewRecordReader(in, flags.format)
		if err != nil {
			return nil, usagef("--format %q: %v", flags.format, err)
		}
		read = reader.ReadRecord
	default:
		return nil, usagef("--input %s: want text or jsonl", flags.input)
	}
	var headers []kgo.RecordHeader
	for _, flag := range flags.headers {
		key, value, ok := strings.Cut(flag, "=")
		if !ok {
			return nil, usagef("-H %s: want KEY=VALUE", flag)
		}
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	return func() (*kgo.Record, error) {
		record, err := read()
		if err != nil {
			return nil, err
		}
		if record.Key == nil && flags.keySet {
			record.Key = []byte(flags.key)
		}
		if flags.tombstone && len(record.Value) == 0 {
			record.Value = nil
		}
		if flags.partition >= 0 {
			record.Partition = flags.partition
		}
		record.Headers = append(record.Headers, headers...)
		return record, nil
	}, nil
}

// lastLine ends the last line of an input that forgot to: printf and many files do, and the record reader insists.
type lastLine struct {
	in   io.Reader
	last byte
	any  bool
	done bool
}

func (l *lastLine) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if l.done {
		return 0, io.EOF
	}
	n, err := l.in.Read(b)
	if n > 0 {
		l.last, l.any = b[n-1], true
	}
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if n < len(b) && l.any && l.last != '\n' {
		b[n] = '\n'
		n, l.last = n+1, '\n'
	}
	l.done = !l.any || l.last == '\n' // else b is full, and the newline comes with the next call
	return n, nil
}

// mustExist fails for a topic nobody created, before the client begins to retry.
func mustExist(cmd *cobra.Command, client *kgo.Client, topics ...string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), adminTimeout)
	defer cancel()
	_, err := selectTopics(ctx, kadm.NewClient(client), topics, false)
	return err
}

// produceReport writes a row for each answer as it comes, so that its memory stays small however long the input is.
type produceReport struct {
	out           io.Writer
	format        format
	rows          [][]string // of text, kept back to be aligned
	header        []string
	total, failed int
	written       int
	err           error // first failed write
}

// produceRowsMax is how many rows are aligned together.
const produceRowsMax = 1000

func newProduceReport(cmd *cobra.Command) (*produceReport, error) {
	f, err := outputFormat(cmd)
	if err != nil {
		return nil, err
	}
	return &produceReport{out: cmd.OutOrStdout(), format: f, header: []string{"TOPIC", "PARTITION", "OFFSET", "BYTES", "ACK"}}, nil
}

func (p *produceReport) add(r *kgo.Record, took time.Duration, err error) {
	row := producedRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Bytes: len(r.Key) + len(r.Value), AckMs: float64(took.Microseconds()) / 1000}
	if err != nil {
		p.failed++
		row.Offset, row.Error = -1, describeError(err, "")
	}
	switch p.format {
	case formatText:
		cell := strconv.FormatFloat(row.AckMs, 'f', 1, 64) + "ms"
		if row.Error != "" {
			cell = row.Error
		}
		p.rows = append(p.rows, []string{row.Topic, strconv.Itoa(int(row.Partition)), count(row.Offset), strconv.Itoa(row.Bytes), cell})
		if len(p.rows) >= produceRowsMax {
			p.flush()
		}
	case formatJSON:
		opening := ",\n"
		if p.written == 0 {
			opening = "[\n"
		}
		p.write(opening + strings.TrimSuffix(compactJSON(row), "\n"))
	case formatJSONL:
		p.write(compactJSON(row))
	}
	p.written++
}

func (p *produceReport) write(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.out, text)
	}
}

func (p *produceReport) flush() {
	if p.err == nil {
		p.err = writeTable(p.out, p.header, p.rows)
	}
	p.header, p.rows = nil, p.rows[:0]
}

func (p *produceReport) close() error {
	switch {
	case p.format == formatText:
		p.flush()
	case p.format == formatJSON && p.written == 0:
		p.write("[]\n")
	case p.format == formatJSON:
		p.write("\n]\n")
	}
	return p.err
}
