package raft

import (
	"context"
	"fmt"
	"log/slog"

	"pinion/engine/must"
)

// logger gives the RawNode's remarks to slog. What it calls information is detail to an operator; what it calls fatal or
// panic is a broken invariant, ours or its own.
type logger struct{ log *slog.Logger }

func newLogger(log *slog.Logger) logger {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return logger{log}
}

func (l logger) say(level slog.Level, message func() string) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, message())
	}
}

func (l logger) sayAll(level slog.Level, v []any) {
	l.say(level, func() string { return fmt.Sprint(v...) })
}

func (l logger) sayf(level slog.Level, format string, v []any) {
	l.say(level, func() string { return fmt.Sprintf(format, v...) })
}

func (l logger) Debug(v ...any)                   { l.sayAll(slog.LevelDebug, v) }
func (l logger) Debugf(format string, v ...any)   { l.sayf(slog.LevelDebug, format, v) }
func (l logger) Info(v ...any)                    { l.sayAll(slog.LevelDebug, v) }
func (l logger) Infof(format string, v ...any)    { l.sayf(slog.LevelDebug, format, v) }
func (l logger) Warning(v ...any)                 { l.sayAll(slog.LevelWarn, v) }
func (l logger) Warningf(format string, v ...any) { l.sayf(slog.LevelWarn, format, v) }
func (l logger) Error(v ...any)                   { l.sayAll(slog.LevelError, v) }
func (l logger) Errorf(format string, v ...any)   { l.sayf(slog.LevelError, format, v) }
func (l logger) Fatal(v ...any)                   { must.Failf("raft: %s", fmt.Sprint(v...)) }
func (l logger) Fatalf(format string, v ...any)   { must.Failf("raft: "+format, v...) }
func (l logger) Panic(v ...any)                   { must.Failf("raft: %s", fmt.Sprint(v...)) }
func (l logger) Panicf(format string, v ...any)   { must.Failf("raft: "+format, v...) }
