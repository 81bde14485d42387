package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type consumeFlags struct {
	offset     string
	number     int64
	exitAtEnd  bool
	partitions []int32
	format     string
	output     string
	match      bool
}

func newConsume(con *console) *cobra.Command {
	var flags consumeFlags
	cmd := &cobra.Command{
		Use:   "consume NAME...",
		Short: "Print records",
		Long: `Print records of topics, until interrupted or until the end asked for.

Offsets: start, end, n, +n (after the start), -n (before the end), ranges n:m and :end, times @t and @t1:t2. A time is
milliseconds (13 digits), seconds, 2026-11-22, 2026-11-22T10:00:00Z, or ago: @-1h, @-48h:-24h.

Formats: text for people, json, jsonl, or a layout in kcat's and franz-go's language such as '%T %p %o %k %v\n'. On a
terminal the default is text, in a pipe jsonl.`,
		Example: `  pinion topic consume orders -o -10 -e
  pinion topic consume orders -o @-1h:end -f '%o %k %v\n'`,
		Args: atLeast(1, "the topic's name"),
		RunE: func(cmd *cobra.Command, names []string) error { return consume(cmd, con, names, flags) },
	}
	cmd.Flags().StringVarP(&flags.offset, "offset", "o", "start", "where to begin and end, see above")
	cmd.Flags().Int64VarP(&flags.number, "num", "n", 0, "stop after this many records; 0: do not")
	cmd.Flags().BoolVarP(&flags.exitAtEnd, "exit-at-end", "e", false, "stop at the end as it is now")
	cmd.Flags().Int32SliceVarP(&flags.partitions, "partitions", "p", nil, "only these partitions, comma separated")
	cmd.Flags().StringVarP(&flags.format, "format", "f", "", "text, json, jsonl or a layout")
	cmd.Flags().StringVar(&flags.output, "output", "", "same as --format") // hides the root's -o, which is the offset here
	cmd.Flags().BoolVarP(&flags.match, "regex", "r", false, "names are regular expressions, matched as a whole")
	return cmd
}

func consume(cmd *cobra.Command, con *console, names []string, flags consumeFlags) error {
	buffered := bufio.NewWriter(cmd.OutOrStdout())
	write, err := recordWriter(buffered, con, flags)
	if err != nil {
		return err
	}
	wanted, err := parseOffsets(flags.offset, time.Now())
	if err != nil {
		return err
	}
	spans, err := plan(cmd, names, wanted, flags)
	if err != nil || len(spans) == 0 {
		return err
	}
	reader := &reader{spans: spans, write: write, left: flags.number, limited: flags.number > 0}
	offsets := map[string]map[int32]kgo.Offset{}
	for topic, partitions := range spans {
		offsets[topic] = map[int32]kgo.Offset{}
		for partition, s := range partitions {
			offsets[topic][partition] = kgo.NewOffset().At(s.from)
		}
	}
	client, err := newClient(cmd, kgo.ConsumePartitions(offsets), kgo.FetchMaxWait(500*time.Millisecond), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer client.Close()
	err = reader.run(cmd.Context(), client, buffered)
	return errors.Join(err, buffered.Flush())
}

// plan finds the topics and gives the partitions that have, or may get, something to read.
func plan(cmd *cobra.Command, names []string, wanted offsetRange, flags consumeFlags) (map[string]map[int32]span, error) {
	client, err := newClient(cmd)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), adminTimeout)
	defer cancel()
	details, err := selectTopics(ctx, kadm.NewClient(client), names, flags.match)
	if err != nil {
		return nil, err
	}
	topics := make([]string, len(details))
	for i, d := range details {
		topics[i] = d.Topic
		for _, p := range flags.partitions {
			if _, ok := d.Partitions[p]; !ok {
				return nil, usagef("topic %q has no partition %d; it has %d, counted from 0", d.Topic, p, len(d.Partitions))
			}
		}
	}
	if len(topics) == 0 {
		return nil, fmt.Errorf("no topic matches")
	}
	spans, err := resolve(ctx, kadm.NewClient(client), wanted, flags.exitAtEnd, topics)
	if err != nil {
		return nil, err
	}
	for topic, partitions := range spans {
		for partition, s := range partitions {
			if !chosen(flags.partitions, partition) || s.stop >= 0 && s.from >= s.stop {
				delete(partitions, partition)
			}
		}
		if len(partitions) == 0 {
			delete(spans, topic)
		}
	}
	return spans, nil
}

func chosen(list []int32, partition int32) bool {
	if len(list) == 0 {
		return true
	}
	for _, p := range list {
		if p == partition {
			return true
		}
	}
	return false
}

// reader prints records until every span is read to its end, or the number asked for is reached.
type reader struct {
	spans   map[string]map[int32]span
	write   func(*kgo.Record) error
	left    int64
	limited bool
}

func (r *reader) run(ctx context.Context, client *kgo.Client, out *bufio.Writer) error {
	for len(r.spans) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil // an interrupted consumer has done what it was asked to
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s partition %d: %w", e.Topic, e.Partition, reason(e.Err))
		}
		for it := fetches.RecordIter(); !it.Done(); {
			done, err := r.record(client, it.Next())
			if done || err != nil {
				return err
			}
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// record prints one record if its span wants it, and ends the span with its last.
func (r *reader) record(client *kgo.Client, record *kgo.Record) (done bool, err error) {
	s, open := r.spans[record.Topic][record.Partition]
	if !open {
		return false, nil
	}
	if !record.Attrs.IsControl() && (s.stop < 0 || record.Offset < s.stop) {
		if err := r.write(record); err != nil {
			return true, err
		}
		r.left--
		if r.limited && r.left == 0 {
			return true, nil
		}
	}
	if s.stop >= 0 && record.Offset >= s.stop-1 {
		delete(r.spans[record.Topic], record.Partition)
		client.PauseFetchPartitions(map[string][]int32{record.Topic: {record.Partition}})
		if len(r.spans[record.Topic]) == 0 {
			delete(r.spans, record.Topic)
		}
	}
	return len(r.spans) == 0, nil
}

// recordWriter gives the function that prints one record.
func recordWriter(out io.Writer, con *console, flags consumeFlags) (func(*kgo.Record) error, error) {
	layout := flags.format
	switch {
	case layout != "" && flags.output != "" && layout != flags.output:
		return nil, usagef("--format and --output are the same setting; give one")
	case layout == "":
		layout = flags.output
	}
	if layout == "" {
		layout = "jsonl"
		if con.outTTY {
			layout = "text"
		}
	}
	switch layout {
	case "text":
		return func(r *kgo.Record) error { return writeReadable(out, r) }, nil
	case "json":
		return func(r *kgo.Record) error { return writeJSON(out, toJSON(r)) }, nil
	case "jsonl":
		return func(r *kgo.Record) error { _, err := io.WriteString(out, compactJSON(toJSON(r))); return err }, nil
	}
	formatter, err := kgo.NewRecordFormatter(layout)
	if err != nil {
		return nil, usagef("--format %q: %v", layout, err)
	}
	var line []byte
	return func(r *kgo.Record) error {
		line = formatter.AppendRecord(line[:0], r)
		_, err := out.Write(line)
		return err
	}, nil
}

// writeReadable is one line for people: time, topic[partition]@offset, key, value.
func writeReadable(out io.Writer, r *kgo.Record) error {
	_, err := fmt.Fprintf(out, "%s  %s[%d]@%d  %s  %s\n", r.Timestamp.UTC().Format("2006-01-02T15:04:05.000Z"), r.Topic, r.Partition, r.Offset,
		readable(r.Key), readable(r.Value))
	return err
}

// readable shows null as "-" and escapes bytes that would disturb a terminal.
func readable(b []byte) string {
	if b == nil {
		return "-"
	}
	text := string(b)
	for _, c := range text {
		if c < ' ' && c != '\t' || c == 0x7f || c == 0xfffd {
			return fmt.Sprintf("%q", text)
		}
	}
	return text
}
