// Package loggers is the broker's log by parts: each has a level of its own, or the root's, and both can be changed while the broker runs. It owns
// the levels and nothing else: what is said goes to one slog.Handler. Callable anywhere.
package loggers

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// Root is the name of the logger whose level the others have, unless they have one.
const Root = "root"

// The parts, by room.
const (
	API         = "pinion.api"
	Broker      = "pinion.broker"
	Connections = "pinion.connections"
	Control     = "pinion.control"
	Groups      = "pinion.groups"
	Partitions  = "pinion.partitions"
	Raft        = "pinion.raft"
)

// names are all loggers in order of name; the root comes last.
var names = [...]string{API, Broker, Connections, Control, Groups, Partitions, Raft, Root}

const root = len(names) - 1

// The levels have Kafka's names; slog has the four in the middle.
const (
	Trace = slog.LevelDebug - 4
	Fatal = slog.LevelError + 4
	// unset is no level: the root's counts.
	unset = 1 << 30
)

var levels = []struct {
	name  string
	level slog.Level
}{{"DEBUG", slog.LevelDebug}, {"ERROR", slog.LevelError}, {"FATAL", Fatal}, {"INFO", slog.LevelInfo}, {"TRACE", Trace}, {"WARN", slog.LevelWarn}}

// Valids are the names of the levels, for messages.
const Valids = "DEBUG, ERROR, FATAL, INFO, TRACE, WARN"

// tree holds the level of each logger. They order nothing: what is said around a change may be judged by either level.
type tree struct{ levels [len(names)]atomic.Int64 }

func (t *tree) level(at int) slog.Level {
	level := t.levels[at].Load()
	if level == unset {
		level = t.levels[root].Load()
	}
	return slog.Level(level)
}

// handler judges by the level of its logger what the one behind it is to say.
type handler struct {
	slog.Handler
	tree *tree
	at   int
}

// New makes the root logger at level INFO. The handler must say all it is given, down to Trace.
func New(h slog.Handler) *slog.Logger {
	t := &tree{}
	for i := range t.levels {
		t.levels[i].Store(unset)
	}
	t.levels[root].Store(int64(slog.LevelInfo))
	return slog.New(&handler{h, t, root})
}

// Part is the logger of a part. A logger that New did not make stays what it is.
func Part(log *slog.Logger, name string) *slog.Logger {
	h, ours := handlerOf(log)
	at := place(name)
	if !ours || at < 0 {
		return log
	}
	return slog.New(&handler{h.Handler, h.tree, at})
}

// Levels yields every logger and the level it has, in order of name, until yield returns false; nothing for a logger that New did not make.
func Levels(log *slog.Logger) func(yield func(name, level string) bool) {
	return func(yield func(name, level string) bool) {
		h, ours := handlerOf(log)
		for at := 0; ours && at < len(names); at++ {
			if !yield(names[at], levelName(h.tree.level(at))) {
				return
			}
		}
	}
}

// Known reports whether there is a logger of that name.
func Known(log *slog.Logger, name string) bool {
	_, ours := handlerOf(log)
	return ours && place(name) >= 0
}

// Valid reports whether a level has that name.
func Valid(level string) bool {
	_, ok := parse(level)
	return ok
}

// Set gives a known logger a valid level; an empty one lets it have the root's again.
func Set(log *slog.Logger, name, level string) {
	h, ours := handlerOf(log)
	at := place(name)
	if !ours || at < 0 {
		return
	}
	if l, ok := parse(level); ok {
		h.tree.levels[at].Store(int64(l))
	} else if at != root {
		h.tree.levels[at].Store(unset)
	}
}

func handlerOf(log *slog.Logger) (*handler, bool) {
	if log == nil {
		return nil, false
	}
	h, ours := log.Handler().(*handler)
	return h, ours
}

func place(name string) int {
	for at, known := range names {
		if known == name {
			return at
		}
	}
	return -1
}

func parse(name string) (slog.Level, bool) {
	for _, l := range levels {
		if l.name == name {
			return l.level, true
		}
	}
	return 0, false
}

func levelName(level slog.Level) string {
	for _, l := range levels {
		if l.level == level {
			return l.name
		}
	}
	return level.String()
}

// Enabled reports whether the logger says anything of that level.
func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.tree.level(h.at)
}

// WithAttrs keeps the level.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.Handler.WithAttrs(attrs), h.tree, h.at}
}

// WithGroup keeps the level.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.Handler.WithGroup(name), h.tree, h.at}
}
