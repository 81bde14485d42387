// Command golang runs one Go client for the tests in bench/families: a command a line on standard input, an answer a line on
// standard output. The families package describes the commands. Started as: golang CLIENT HOST:PORT, see clients.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// wait bounds every command.
const wait = 30 * time.Second

// client is a client library under test. A method that the library has no way to do returns errAbsent.
type client interface {
	version() string
	produce(ctx context.Context, c *command, records []record) ([]int64, error)
	consume(ctx context.Context, c *command) ([]record, error)
	offsets(ctx context.Context, c *command) (offsets, error)
	create(ctx context.Context, c *command) error
	take(ctx context.Context, c *command) ([][2]int64, error)
	remove(ctx context.Context, topic string) error
	list(ctx context.Context) ([]string, error)
	describe(ctx context.Context, topic string) ([]partition, error)
	grow(ctx context.Context, topic string, partitions int32) error
	configs(ctx context.Context, topic string) (map[string]string, error)
	setConfigs(ctx context.Context, c *command) error
	trim(ctx context.Context, c *command) (int64, error)
	groups
}

var clients = map[string]func(address string) (client, error){
	"sarama":     func(address string) (client, error) { return newSarama(address, saramaNewest) },
	"sarama-2.1": func(address string) (client, error) { return newSarama(address, saramaOldest) },
	"kafka-go":   newSegmentio,
	"franz-go":   newFranz,
}

var errAbsent = errors.New("the client has no way to do this")

// refusal is what the broker answered.
type refusal struct {
	code int
	text string
}

func (r refusal) Error() string { return r.text }

// unsupported is a request that the client did not send because the broker does not know it.
type unsupported struct{ error }

type command struct {
	Op         string             `json:"op"`
	Topic      string             `json:"topic"`
	Group      string             `json:"group"`
	Partition  int32              `json:"partition"`
	Partitions int32              `json:"partitions"`
	File       string             `json:"file"`
	Codec      string             `json:"codec"`
	Acks       string             `json:"acks"`
	Idempotent bool               `json:"idempotent"`
	Start      string             `json:"start"`
	At         int64              `json:"at"`
	Count      int                `json:"count"`
	Times      []int64            `json:"times"`
	Configs    map[string]*string `json:"configs"`
	How        string             `json:"how"`
	Dry        bool               `json:"dry"`
}

type record struct {
	Partition int32    `json:"p"`
	Offset    int64    `json:"o"`
	Timestamp int64    `json:"t"`
	Key       []byte   `json:"k"`
	Value     []byte   `json:"v"`
	Headers   []header `json:"h"`
}

type header struct {
	Key   string `json:"k"`
	Value []byte `json:"v"`
}

type offsets struct {
	Earliest int64   `json:"earliest"`
	Latest   int64   `json:"latest"`
	At       []int64 `json:"at"`
}

type partition struct {
	ID       int32   `json:"id"`
	Leader   int32   `json:"leader"`
	Replicas []int32 `json:"replicas"`
}

func main() {
	open := clients[os.Args[1]]
	if open == nil {
		fmt.Fprintf(os.Stderr, "no client %q\n", os.Args[1])
		os.Exit(2)
	}
	c, err := open(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	lines := make(chan []byte)
	go pump(lines)
	out := json.NewEncoder(os.Stdout)
	for line := range lines {
		var cmd command
		if err := json.Unmarshal(line, &cmd); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		answer, err := run(ctx, c, &cmd)
		cancel()
		if err != nil {
			_ = out.Encode(map[string]any{"error": explain(err)})
			continue
		}
		_ = out.Encode(map[string]any{"ok": answer})
	}
}

// pump reads commands and ends the process when there are no more, whatever the client is waiting for.
func pump(lines chan<- []byte) {
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			os.Exit(0)
		}
		lines <- line
	}
}

func run(ctx context.Context, c client, cmd *command) (any, error) {
	if answer, done, err := runGroups(ctx, c, cmd); done {
		return answer, err
	}
	switch cmd.Op {
	case "hello":
		return map[string]any{"client": c.version()}, nil
	case "produce":
		records, err := readRecords(cmd.File)
		if err != nil {
			return nil, err
		}
		offsets, err := c.produce(ctx, cmd, records)
		return map[string]any{"offsets": offsets}, err
	case "consume":
		records, err := c.consume(ctx, cmd)
		if err != nil {
			return nil, err
		}
		return struct{}{}, writeRecords(cmd.File, records)
	case "take":
		taken, err := c.take(ctx, cmd)
		return map[string]any{"taken": taken}, err
	case "offsets":
		return c.offsets(ctx, cmd)
	case "create":
		return struct{}{}, c.create(ctx, cmd)
	case "delete":
		return struct{}{}, c.remove(ctx, cmd.Topic)
	case "list":
		topics, err := c.list(ctx)
		return map[string]any{"topics": topics}, err
	case "describe":
		partitions, err := c.describe(ctx, cmd.Topic)
		return map[string]any{"partitions": partitions}, err
	case "grow":
		return struct{}{}, c.grow(ctx, cmd.Topic, cmd.Partitions)
	case "get_configs":
		configs, err := c.configs(ctx, cmd.Topic)
		return map[string]any{"configs": configs}, err
	case "set_configs":
		return struct{}{}, c.setConfigs(ctx, cmd)
	case "trim":
		earliest, err := c.trim(ctx, cmd)
		return map[string]any{"earliest": earliest}, err
	}
	return nil, errAbsent
}

// explain tells the kinds of failure apart.
func explain(err error) map[string]any {
	var refused refusal
	var unknown unsupported
	switch {
	case errors.Is(err, errAbsent):
		return map[string]any{"kind": "absent", "code": 0, "text": err.Error()}
	case errors.As(err, &unknown):
		return map[string]any{"kind": "unsupported", "code": 0, "text": err.Error()}
	case errors.As(err, &refused):
		return map[string]any{"kind": "broker", "code": refused.code, "text": err.Error()}
	}
	return map[string]any{"kind": "client", "code": 0, "text": err.Error()}
}

func readRecords(path string) ([]record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var list []record
	for in := json.NewDecoder(bufio.NewReader(f)); in.More(); {
		var r record
		if err := in.Decode(&r); err != nil {
			return nil, fmt.Errorf("record %d: %w", len(list), err)
		}
		list = append(list, r)
	}
	return list, nil
}

func writeRecords(path string, records []record) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buffer := bufio.NewWriter(f)
	out := json.NewEncoder(buffer)
	for i := range records {
		if err := out.Encode(&records[i]); err != nil {
			return err
		}
	}
	return buffer.Flush()
}
