package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"pinion/engine/config"
	"pinion/engine/loggers"
)

// configBytesMax bounds the file read by --config; a real one has a few kilobytes.
const configBytesMax = 4 << 20

type startFlags struct {
	config    string
	sets      []string
	check     bool
	logFormat string
}

func newStart(con *console) *cobra.Command {
	var flags startFlags
	cmd := &cobra.Command{
		Use:   "start [--config FILE] [--set KEY=VALUE ...]",
		Short: "Run the broker in the foreground",
		Long: `Run the broker in the foreground until SIGTERM or SIGINT.

Settings have Kafka's names; --config takes Kafka's server.properties as it is. A flag wins over the environment (PINION_ and
KAFKA_ names, as in the apache/kafka image: log.dirs is KAFKA_LOG_DIRS), the environment over the file, the file over the
default. Sizes and durations may be written 1GiB and 7d. Without any setting the broker listens on 127.0.0.1:9092 and keeps its
data in ./pinion-data.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return start(cmd, con, flags) },
	}
	cmd.Flags().StringVar(&flags.config, "config", "", "properties file")
	cmd.Flags().StringArrayVar(&flags.sets, "set", nil, "one setting, KEY=VALUE; repeatable")
	cmd.Flags().BoolVar(&flags.check, "check", false, "check the configuration and stop; exit 78 if it is wrong")
	cmd.Flags().StringVar(&flags.logFormat, "log-format", "auto", "auto, text or json")
	return cmd
}

func start(cmd *cobra.Command, con *console, flags startFlags) error {
	logger, err := newLogger(con, flags.logFormat)
	if err != nil {
		return err
	}
	in := config.Input{File: flags.config, Env: con.env, Sets: flags.sets}
	if in.Text, err = readConfig(flags.config); err != nil {
		return err
	}
	cfg, notices, err := config.Load(in)
	if flags.check {
		return showCheck(cmd, cfg, notices, err)
	}
	for _, notice := range notices {
		logger.Warn(notice.String())
	}
	if err != nil {
		return err
	}
	return serve(cmd.Context(), cfg, logger, cmd.OutOrStdout())
}

// readConfig reads the file; one that is missing or cannot be read is a mistake in the configuration like any other.
func readConfig(name string) ([]byte, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, config.Problems{{Text: err.Error()}}
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, configBytesMax+1))
	if err != nil {
		return nil, config.Problems{{Text: err.Error()}}
	}
	if len(text) > configBytesMax {
		return nil, config.Problems{{Where: name, Text: fmt.Sprintf("larger than %d bytes; not a configuration", configBytesMax)}}
	}
	return text, nil
}

// finding is one line of `start --check`.
type finding struct {
	Severity string `json:"severity"` // error or warning
	Where    string `json:"where"`
	Key      string `json:"key"`
	Text     string `json:"text"`
}

// showCheck writes what Load found. In text, errors go where start itself would put them.
func showCheck(cmd *cobra.Command, cfg *config.Broker, notices []config.Notice, err error) error {
	f, formatErr := outputFormat(cmd)
	if formatErr != nil {
		return formatErr
	}
	if f == formatText {
		for _, n := range notices {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s\n", n)
		}
		if err != nil {
			return err
		}
		count := 0
		cfg.Settings(func(config.Setting) bool { count++; return true })
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "configuration ok: %d keys set, %d warnings\n", count, len(notices))
		return err
	}
	var list []finding
	var problems config.Problems
	errors.As(err, &problems)
	for _, p := range problems {
		list = append(list, finding{"error", p.Where, p.Key, p.Text})
	}
	for _, n := range notices {
		list = append(list, finding{"warning", n.Where, n.Key, n.Text})
	}
	if writeErr := writeList(cmd, nil, list, nil); writeErr != nil {
		return writeErr
	}
	if err != nil {
		return &failure{exitConfig, nil}
	}
	return nil
}

// newLogger makes the broker's logger on stderr: text for people, without time and with a priority under journald, or JSON. It says what its
// levels let through, which clients can change.
func newLogger(con *console, format string) (*slog.Logger, error) {
	all := &slog.HandlerOptions{Level: loggers.Trace}
	switch format {
	case "json":
		return loggers.New(slog.NewJSONHandler(con.err, all)), nil
	case "text":
		return loggers.New(slog.NewTextHandler(con.err, all)), nil
	case "auto":
		if f, ok := con.err.(*os.File); ok && isJournal(f, environment(con, "JOURNAL_STREAM", "")) {
			return loggers.New(newJournalHandler(con.err)), nil
		}
		return loggers.New(slog.NewTextHandler(con.err, all)), nil
	}
	return nil, usagef("--log-format %s: want auto, text or json", format)
}
