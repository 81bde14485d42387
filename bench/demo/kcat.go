package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
)

const pipeBuffer = 1 << 20

// feed is one kcat that sends to one partition.
type feed struct {
	cmd   *exec.Cmd
	pipe  io.WriteCloser
	in    *bufio.Writer
	words bytes.Buffer
}

// sendKcat sends the text through one kcat for each partition.
func sendKcat(ctx context.Context, kcat, addr, topic string, c *text) (*ledger, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var feeds [partitions]feed
	for p := range feeds {
		f := &feeds[p]
		f.cmd = exec.CommandContext(ctx, kcat, "-P", "-q", "-b", addr, "-t", topic, "-p", strconv.Itoa(p), "-K", `\t`, "-D", `\n`,
			"-X", "acks=all", "-X", "queue.buffering.max.messages=400000")
		f.cmd.Stderr = &f.words
		var err error
		if f.pipe, err = f.cmd.StdinPipe(); err != nil {
			return nil, err
		}
		f.in = bufio.NewWriterSize(f.pipe, pipeBuffer)
		if err := f.cmd.Start(); err != nil {
			return nil, fmt.Errorf("start kcat: %w", err)
		}
	}
	sums := newLedger()
	err := c.each(func(partition int32, key, value []byte) error {
		sums.add(partition, key, value)
		in := feeds[partition].in
		_, _ = in.Write(key)
		_ = in.WriteByte(keyEnd)
		_, _ = in.Write(value)
		return in.WriteByte(lineEnd) // a writer keeps its first error
	})
	for p := range feeds {
		f := &feeds[p]
		err = errors.Join(err, f.in.Flush(), f.pipe.Close())
		if end := f.cmd.Wait(); end != nil {
			err = errors.Join(err, fmt.Errorf("kcat for partition %d: %w\n%s", p, end, f.words.Bytes()))
		}
	}
	return sums, err
}

// readKcat reads a topic to its end.
func readKcat(ctx context.Context, kcat, addr, topic string) (*ledger, error) {
	// Lengths come before bytes, so that any bytes can follow. librdkafka rests for a second whenever its queue is full, so the queue
	// is made large enough never to be.
	cmd := exec.CommandContext(ctx, kcat, "-C", "-q", "-b", addr, "-t", topic, "-o", "beginning", "-e", "-f", `%p %K %S %k%s`,
		"-X", "queued.min.messages=2000000", "-X", "queued.max.messages.kbytes=1000000")
	var words bytes.Buffer
	cmd.Stderr = &words
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start kcat: %w", err)
	}
	sums := newLedger()
	readErr := parse(bufio.NewReaderSize(pipe, pipeBuffer), sums)
	_, _ = io.Copy(io.Discard, pipe)
	if err := cmd.Wait(); err != nil {
		return nil, errors.Join(fmt.Errorf("kcat: %w\n%s", err, words.Bytes()), readErr)
	}
	return sums, readErr
}

// parse reads what kcat writes.
func parse(in *bufio.Reader, sums *ledger) error {
	var room []byte
	for {
		partition, err := number(in)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		keySize, err := number(in)
		if err != nil {
			return err
		}
		valueSize, err := number(in)
		if err != nil {
			return err
		}
		if partition < 0 || partition >= partitions {
			return fmt.Errorf("kcat names partition %d", partition)
		}
		size := max(0, keySize) + max(0, valueSize)
		if cap(room) < size {
			room = make([]byte, size)
		}
		b := room[:size]
		if _, err := io.ReadFull(in, b); err != nil {
			return fmt.Errorf("kcat's output ends in a record: %w", err)
		}
		key, value := b[:max(0, keySize)], b[max(0, keySize):]
		if keySize < 0 {
			key = nil
		}
		if valueSize < 0 {
			value = nil
		}
		sums.add(int32(partition), key, value)
	}
}

// number reads a decimal and the space behind it. io.EOF: there was nothing more.
func number(in *bufio.Reader) (int, error) {
	text, err := in.ReadSlice(' ')
	if err == io.EOF && len(text) > 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(text[:len(text)-1]))
}
