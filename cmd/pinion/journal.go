package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"syscall"

	"pinion/engine/loggers"
)

// isJournal reports whether the file is the stream journald gave the service: JOURNAL_STREAM holds its device and inode
// (systemd.exec(5)).
func isJournal(f *os.File, stream string) bool {
	var stat syscall.Stat_t
	if stream == "" || syscall.Fstat(int(f.Fd()), &stat) != nil {
		return false
	}
	return stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// journalHandler writes lines that begin with the priority journald reads (sd-daemon(3)) and leave out the time, which the journal
// keeps itself.
type journalHandler struct {
	mu   *sync.Mutex // guards text and line, which all handlers derived from one share
	line *bytes.Buffer
	text slog.Handler
	out  io.Writer
}

func newJournalHandler(out io.Writer) *journalHandler {
	line := &bytes.Buffer{}
	text := slog.NewTextHandler(line, &slog.HandlerOptions{Level: loggers.Trace, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}})
	return &journalHandler{mu: &sync.Mutex{}, line: line, text: text, out: out}
}

func (h *journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.text.Enabled(ctx, level)
}

// Handle writes one record with one call, so that lines of several goroutines do not mix.
func (h *journalHandler) Handle(ctx context.Context, record slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line.Reset()
	h.line.WriteString(priority(record.Level))
	if err := h.text.Handle(ctx, record); err != nil {
		return err
	}
	_, err := h.out.Write(h.line.Bytes())
	return err
}

func priority(level slog.Level) string {
	switch {
	case level >= slog.LevelError:
		return "<3>"
	case level >= slog.LevelWarn:
		return "<4>"
	case level >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &journalHandler{mu: h.mu, line: h.line, text: h.text.WithAttrs(attrs), out: h.out}
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	return &journalHandler{mu: h.mu, line: h.line, text: h.text.WithGroup(name), out: h.out}
}
