package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"pinion/bench/load"
	"pinion/bench/measure"
	"pinion/bench/results"
)

// benchRounds goes through rounds that were made beforehand, as a verb with these flags does.
func benchRounds(t *testing.T, round func() (*measure.Run, error), args ...string) result {
	t.Helper()
	var out, problems strings.Builder
	con := &console{out: &out, err: &problems}
	var flags benchFlags
	cmd := &cobra.Command{SilenceErrors: true, SilenceUsage: true, RunE: func(cmd *cobra.Command, _ []string) error {
		b := &bench{cmd: cmd, con: con, flags: &flags, verb: "made"}
		return b.rounds(func(context.Context, func(load.Interval)) (*measure.Run, error) { return round() })
	}}
	flags.add(cmd, 0, time.Second)
	cmd.Flags().StringP("output", "o", string(formatText), "")
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	code := report(con, cmd.ExecuteContext(t.Context()))
	return result{code, out.String(), problems.String()}
}

// Latencies of requests without an answer are in no percentile: a result that has such is none.
func TestBenchResultThatLacksAnswersIsPartial(t *testing.T) {
	for name, lacks := range map[string]func(*load.Outcome){
		"3 requests": func(o *load.Outcome) { o.Unanswered = 3 },
		"5 records":  func(o *load.Outcome) { o.Unread = 5 },
	} {
		dir := t.TempDir()
		got := benchRounds(t, func() (*measure.Run, error) {
			run := madeRun(1_000_000)
			lacks(run.Outcome)
			return run, nil
		}, "--out", dir)
		kept, err := results.Read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got.code != exitFailed || !strings.Contains(got.err, name) || !kept[0].Pinion.Partial || !strings.Contains(kept[0].Pinion.Error, name) {
			t.Errorf("%s lacking: code %d, partial %v: %q\n%s", name, got.code, kept[0].Pinion.Partial, kept[0].Pinion.Error, got.err)
		}
	}
}

// A result that cannot be kept is printed all the same, and both ends are told.
func TestBenchPrintsWhatItCannotKeep(t *testing.T) {
	for _, c := range []struct {
		ended error
		says  string
	}{{nil, ""}, {errors.New("the broker is gone"), "the broker is gone"}, {context.Canceled, "interrupted"}} {
		got := benchRounds(t, func() (*measure.Run, error) { return madeRun(1_000_000), c.ended }, "--out", "/dev/null/x", "-o", "json")
		var r results.Result
		if err := json.Unmarshal([]byte(got.out), &r); err != nil || len(r.PublishRate) != 1 || r.Pinion.Partial != (c.ended != nil) {
			t.Errorf("%v: %v, printed %q", c.ended, err, got.out)
		}
		if got.code != exitFailed || !strings.Contains(got.err, c.says) || !strings.Contains(got.err, "/dev/null") {
			t.Errorf("%v: code %d\n%s", c.ended, got.code, got.err)
		}
	}
}

// JSON is one value: the result of one round, or an array of as many as were measured.
func TestBenchJSONOfRoundsIsOneValue(t *testing.T) {
	for _, c := range []struct {
		rounds string
		ends   int // the round that ends early
		want   int
	}{{"2", 0, 2}, {"3", 2, 2}, {"2", 1, 1}} {
		round := 0
		got := benchRounds(t, func() (*measure.Run, error) {
			if round++; round == c.ends {
				return madeRun(1_000_000), context.Canceled
			}
			return madeRun(1_000_000), nil
		}, "--rounds", c.rounds, "-o", "json")
		var list []results.Result
		if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list) != c.want {
			t.Fatalf("%+v: %d results: %v\n%s", c, len(list), err, got.out)
		}
		if list[len(list)-1].Pinion.Partial != (c.ends != 0) {
			t.Errorf("%+v: partial %v", c, !list[len(list)-1].Pinion.Partial)
		}
	}
	got := benchRounds(t, func() (*measure.Run, error) { return nil, context.Canceled }, "--rounds", "2", "-o", "json")
	if got.code != exitFailed || got.out != "[]\n" {
		t.Errorf("nothing measured: code %d, %q", got.code, got.out)
	}
}

// A round that measured nothing leaves nothing, least of all in the place of a result.
func TestBenchThatMeasuredNothingKeepsNothing(t *testing.T) {
	dir := t.TempDir()
	got := benchRounds(t, func() (*measure.Run, error) {
		return &measure.Run{Outcome: &load.Outcome{}}, errors.New("the broker does not answer")
	}, "--out", dir)
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.code != exitFailed || !strings.Contains(got.err, "does not answer") || len(left) > 0 {
		t.Errorf("code %d, left %v\n%s", got.code, left, got.err)
	}
}
