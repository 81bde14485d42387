package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"pinion/disk/device"
	"pinion/engine/audit"
)

func newCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR...",
		Short: "Verify the data of a node that does not run",
		Long: `Reads every directory of log.dirs that is named; what lies in one needs the metadata log in another to be judged, so name all. In each: identity, metadata log, journal, every batch and record, what the journal holds against where the
logs end, indexes against the log, epochs, checkpoints, producer snapshots against the log. Changes nothing; takes the lock, so that no broker starts meanwhile.

Exit code 0: sound, or only notes of what the next start puts right without loss, or of what is no damage. 4: damage. 1: not checked. 78: not a data directory.`,
		Args: atLeast(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := outputFormat(cmd)
			if err != nil {
				return err
			}
			if err := eachOnce(args); err != nil {
				return err
			}
			reports, err := audit.Check(args...)
			if errors.Is(err, device.ErrLocked) {
				return fmt.Errorf("%w\n  stop the broker first, or check a backup", err)
			}
			if err != nil {
				return err
			}
			return concluded(cmd, f, reports)
		},
	}
}

// eachOnce refuses a directory that is named twice: its lock would be another's.
func eachOnce(paths []string) error {
	for i, path := range paths {
		if slices.ContainsFunc(paths[:i], func(earlier string) bool { return device.Same(earlier, path) }) {
			return usagef("%s is named twice", path)
		}
	}
	return nil
}

// concluded says what was found, and fails where it is damage.
func concluded(cmd *cobra.Command, f format, reports []*audit.Report) error {
	var err error
	if f != formatText {
		err = writeList(cmd, nil, reports, nil)
	}
	sound := true
	for _, r := range reports {
		sound = sound && r.Sound()
		if f == formatText && err == nil {
			err = writeAudit(cmd.OutOrStdout(), r)
		}
	}
	if err == nil && !sound {
		return &failure{exitDamage, nil}
	}
	return err
}

func writeAudit(out io.Writer, r *audit.Report) error {
	fmt.Fprintf(out, "%s: node %d of cluster %s\n", r.Directory, r.Node, r.Cluster)
	fmt.Fprintf(out, "%d topics; %d partitions in %d segments: %d records in %d batches, %s\n", r.Topics, r.Partitions, r.Segments, r.Records, r.Batches, humanBytes(r.Bytes))
	if r.Journal.Records > 0 {
		fmt.Fprintf(out, "journal: %s; %d batches that the segments lack\n", humanBytes(r.Journal.Bytes), r.Journal.Batches)
	}
	if len(r.Findings) == 0 {
		fmt.Fprintln(out, "sound")
		return nil
	}
	rows := make([][]string, len(r.Findings))
	damage, harmless := 0, 0
	for i, f := range r.Findings {
		what := "note"
		switch {
		case f.Damage():
			what = "damage"
			damage++
		case f.Harmless:
			harmless++
		}
		rows[i] = []string{what, f.File, strconv.FormatInt(f.Pos, 10), strconv.FormatInt(int64(f.Offset), 10), f.Reason}
	}
	if err := writeTable(out, []string{"WHAT", "FILE", "BYTE", "OFFSET", "PROBLEM"}, rows); err != nil {
		return err
	}
	switch {
	case damage > 0:
		fmt.Fprintf(out, "damaged in %d places\n", damage)
	case harmless > 0:
		fmt.Fprintln(out, "sound; nothing that is noted is damage")
	default:
		fmt.Fprintln(out, "sound; the next start puts right what is noted")
	}
	return nil
}
