package loggers

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// A part says what its own level lets through, or the root's, whatever was derived from it before.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	log := New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: Trace}))
	api := Part(log, API).With("a", 1)
	said := func(text string, say func()) bool {
		out.Reset()
		say()
		return strings.Contains(out.String(), text)
	}
	check := func(what string, got, want bool) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v", what, got)
		}
	}
	check("debug at INFO", said("hello", func() { api.Debug("hello") }), false)
	check("info at INFO", said("hello", func() { api.Info("hello") }), true)
	Set(log, API, "DEBUG")
	check("debug at DEBUG", said("a=1", func() { api.Debug("hello") }), true)
	check("debug of the root", said("hello", func() { log.Debug("hello") }), false)
	Set(api, Root, "ERROR")
	check("info of the root at ERROR", said("hello", func() { log.Info("hello") }), false)
	check("info of a part with a level", said("hello", func() { api.Info("hello") }), true)
	Set(log, API, "")
	check("info of a part without", said("hello", func() { api.Info("hello") }), false)
	Set(log, Root, "")
	Set(log, API, "FATAL")
	list := map[string]string{}
	for name, level := range Levels(api) {
		list[name] = level
	}
	if len(list) != len(names) || list[API] != "FATAL" || list[Root] != "ERROR" || list[Raft] != "ERROR" {
		t.Errorf("%v", list)
	}
	if !Known(log, Raft) || Known(log, "kafka") || Valid("info") || !Valid("TRACE") {
		t.Error("names")
	}
}

// A logger of somebody else is left alone.
func TestForeignLogger(t *testing.T) {
	foreign := slog.New(slog.DiscardHandler)
	if Part(foreign, API) != foreign || Known(foreign, Root) || Part(nil, API) != nil {
		t.Error("a logger that New did not make was taken for ours")
	}
	Set(foreign, Root, "DEBUG")
	for name := range Levels(foreign) {
		t.Error(name)
	}
}
