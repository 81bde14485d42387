package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pinion/disk/batch"
)

func newDebug() *cobra.Command {
	debug := &cobra.Command{Use: "debug", Short: "Look into files"}
	debug.AddCommand(newDebugSegment())
	asGroup(debug)
	return debug
}

// segmentBatch is one line of `debug segment` of a .log file.
type segmentBatch struct {
	Position      int64  `json:"position"`
	Bytes         int    `json:"bytes"`
	BaseOffset    int64  `json:"base_offset"`
	LastOffset    int64  `json:"last_offset"`
	Records       int32  `json:"records"`
	Codec         string `json:"codec"`
	LeaderEpoch   int32  `json:"leader_epoch"`
	ProducerID    int64  `json:"producer_id"`
	ProducerEpoch int16  `json:"producer_epoch"`
	BaseSequence  int32  `json:"base_sequence"`
	LastSequence  int32  `json:"last_sequence"`
	MaxTimestamp  int64  `json:"max_timestamp"`
	AppendTime    bool   `json:"append_time"`
	Transactional bool   `json:"transactional"`
	Control       bool   `json:"control"`
	DeleteHorizon *int64 `json:"delete_horizon,omitempty"`
	CRC           string `json:"crc"` // ok or wrong
	Problem       string `json:"problem,omitempty"`

	List []segmentRecord `json:"list,omitempty"`
}

type segmentRecord struct {
	Offset    int64           `json:"offset"`
	Timestamp int64           `json:"timestamp"`
	Key       *string         `json:"key"` // null is null
	Value     *string         `json:"value"`
	Headers   []segmentHeader `json:"headers,omitempty"`
}

type segmentHeader struct {
	Key   string  `json:"key"`
	Value *string `json:"value"`
}

// debugBatchMax is the largest batch debug segment reads into memory; a length beyond it is damage.
const debugBatchMax = 1 << 30

func newDebugSegment() *cobra.Command {
	var records bool
	cmd := &cobra.Command{
		Use:   "segment FILE",
		Short: "Show the batches of a .log file, or the entries of an .index or .timeindex file",
		Long: `Shows a segment's files as they are, of Pinion or of Kafka, also while a broker writes them. A .log file is read up to the first
batch that is not whole; that is reported, with exit code 4. The name may carry a suffix such as .cleaned, .swap or .deleted.`,
		Args: exactly(1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			name := filepath.Base(args[0])
			for _, suffix := range []string{".cleaned", ".swap", ".deleted", ".kept"} {
				name = strings.TrimSuffix(name, suffix)
			}
			switch filepath.Ext(name) {
			case ".index":
				return dumpIndex(cmd, f, name)
			case ".timeindex":
				return dumpTimes(cmd, f, name)
			case ".log":
				return dumpBatches(cmd, f, records)
			}
			return usagef("%s: want a .log, .index or .timeindex file", args[0])
		},
	}
	cmd.Flags().BoolVar(&records, "records", false, "the records of each batch as well")
	return cmd
}

// dumpBatches goes from batch to batch; the sum is a text, or one JSON object for each.
func dumpBatches(cmd *cobra.Command, f *os.File, records bool) error {
	list, problem := readBatches(f, records)
	format, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	if format != formatText {
		if err := writeList(cmd, nil, list, nil); err != nil {
			return err
		}
	} else {
		for i := range list {
			printBatch(cmd.OutOrStdout(), &list[i])
		}
	}
	if problem != nil {
		return &failure{exitDamage, problem}
	}
	for i := range list {
		if list[i].Problem != "" || list[i].CRC != "ok" {
			return &failure{exitDamage, fmt.Errorf("batch at byte %d, offset %d, is damaged", list[i].Position, list[i].BaseOffset)}
		}
	}
	return nil
}

func readBatches(f *os.File, records bool) (list []segmentBatch, problem error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var it batch.Iterator
	var head [batch.HeaderSize]byte
	for pos := int64(0); pos < info.Size(); {
		if n, err := f.ReadAt(head[:], pos); n < len(head) {
			if err == io.EOF {
				err = fmt.Errorf("byte %d: the file ends inside a batch header", pos)
			}
			return list, err
		}
		h, _ := batch.ReadHeader(head[:])
		size := int64(h.Size())
		if size < batch.HeaderSize || size > debugBatchMax || h.Magic != batch.Magic {
			return list, fmt.Errorf("byte %d: not a batch: length %d, format %d", pos, h.Length, h.Magic)
		}
		if pos+size > info.Size() {
			return list, fmt.Errorf("byte %d: the file ends inside a batch of %d bytes at offset %d", pos, size, h.BaseOffset)
		}
		raw := make([]byte, size)
		if _, err := f.ReadAt(raw, pos); err != nil {
			return list, err
		}
		list = append(list, describeBatch(&it, &h, raw, pos, records))
		pos += size
	}
	return list, nil
}

func describeBatch(it *batch.Iterator, h *batch.Header, raw []byte, pos int64, records bool) segmentBatch {
	b := segmentBatch{
		Position: pos, Bytes: len(raw), BaseOffset: int64(h.BaseOffset), LastOffset: int64(h.LastOffset()), Records: h.Records, Codec: h.Codec().String(),
		LeaderEpoch: int32(h.Epoch), ProducerID: h.ProducerID, ProducerEpoch: h.ProducerEpoch, BaseSequence: h.BaseSequence, LastSequence: h.LastSequence(),
		MaxTimestamp: h.MaxTimestamp, AppendTime: h.IsAppendTime(), Transactional: h.IsTransactional(), Control: h.IsControl(), CRC: "ok",
	}
	if h.HasDeleteHorizon() {
		b.DeleteHorizon = &h.BaseTimestamp
	}
	if !batch.CheckCRC(raw) {
		b.CRC = "wrong"
		return b // what stands in it means nothing
	}
	for it.Reset(raw, debugBatchMax); it.Next(); {
		if !records {
			continue
		}
		r := it.Record()
		record := segmentRecord{Offset: int64(r.Offset), Timestamp: r.Timestamp, Key: textOf(r.Key), Value: textOf(r.Value)}
		r.Headers(func(key, value []byte) bool {
			record.Headers = append(record.Headers, segmentHeader{string(key), textOf(value)})
			return true
		})
		b.List = append(b.List, record)
	}
	if err := it.Err(); err != nil {
		b.Problem = err.Error()
	}
	return b
}

func textOf(b []byte) *string {
	if b == nil {
		return nil
	}
	s := string(b)
	return &s
}

func printBatch(out io.Writer, b *segmentBatch) {
	fmt.Fprintf(out, "byte %d  offsets %d-%d  %d records  %d bytes  %s  leader epoch %d", b.Position, b.BaseOffset, b.LastOffset, b.Records, b.Bytes, b.Codec, b.LeaderEpoch)
	if b.ProducerID >= 0 {
		fmt.Fprintf(out, "  producer %d epoch %d sequence %d-%d", b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.LastSequence)
	}
	fmt.Fprintf(out, "  until %s", stamp(b.MaxTimestamp))
	for _, flag := range []struct {
		set  bool
		name string
	}{{b.AppendTime, "append-time"}, {b.Transactional, "transactional"}, {b.Control, "control"}} {
		if flag.set {
			fmt.Fprintf(out, "  %s", flag.name)
		}
	}
	if b.DeleteHorizon != nil {
		fmt.Fprintf(out, "  tombstones go %s", stamp(*b.DeleteHorizon))
	}
	fmt.Fprintf(out, "  crc %s", b.CRC)
	if b.Problem != "" {
		fmt.Fprintf(out, "  %s", b.Problem)
	}
	fmt.Fprintln(out)
	for i := range b.List {
		r := &b.List[i]
		fmt.Fprintf(out, "  %d  %s  key %s  value %s", r.Offset, stamp(r.Timestamp), quoted(r.Key), quoted(r.Value))
		for _, h := range r.Headers {
			fmt.Fprintf(out, "  %q=%s", h.Key, quoted(h.Value))
		}
		fmt.Fprintln(out)
	}
}

func stamp(ms int64) string {
	if ms < 0 {
		return "-"
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
}

func quoted(s *string) string {
	if s == nil {
		return "null"
	}
	return strconv.Quote(*s)
}

// indexLine is an entry of an .index or .timeindex file.
type indexLine struct {
	Offset    int64  `json:"offset"`
	Position  *int64 `json:"position,omitempty"`
	Timestamp *int64 `json:"timestamp,omitempty"`
}

// baseOf is the offset a segment's file is named after; entries count from there.
func baseOf(name string) (int64, error) {
	base, err := strconv.ParseInt(strings.SplitN(name, ".", 2)[0], 10, 64)
	if err != nil || base < 0 {
		return 0, usagef("%s: an index file is named after the base offset of its segment", name)
	}
	return base, nil
}

func dumpIndex(cmd *cobra.Command, f io.Reader, name string) error {
	return dumpEntries(cmd, f, name, 8, []string{"OFFSET", "POSITION"}, func(base int64, b []byte) indexLine {
		at := int64(binary.BigEndian.Uint32(b[4:]))
		return indexLine{Offset: base + int64(binary.BigEndian.Uint32(b)), Position: &at}
	})
}

func dumpTimes(cmd *cobra.Command, f io.Reader, name string) error {
	return dumpEntries(cmd, f, name, 12, []string{"OFFSET", "TIMESTAMP"}, func(base int64, b []byte) indexLine {
		at := int64(binary.BigEndian.Uint64(b))
		return indexLine{Offset: base + int64(binary.BigEndian.Uint32(b[8:])), Timestamp: &at}
	})
}

func dumpEntries(cmd *cobra.Command, f io.Reader, name string, size int, header []string, entry func(base int64, b []byte) indexLine) error {
	base, err := baseOf(name)
	if err != nil {
		return err
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	var lines []indexLine
	for ; len(raw) >= size; raw = raw[size:] {
		lines = append(lines, entry(base, raw))
	}
	err = writeList(cmd, header, lines, func(l indexLine) []string {
		if l.Timestamp != nil {
			return []string{strconv.FormatInt(l.Offset, 10), stamp(*l.Timestamp)}
		}
		return []string{strconv.FormatInt(l.Offset, 10), strconv.FormatInt(*l.Position, 10)}
	})
	if err == nil && len(raw) > 0 {
		return &failure{exitDamage, fmt.Errorf("%s ends with %d bytes of an entry", name, len(raw))}
	}
	return err
}
