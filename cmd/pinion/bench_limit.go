package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"pinion/bench/limit"
	"pinion/bench/machine"
)

// limitFlags are those of `bench limit`.
type limitFlags struct {
	threads          int
	dir              string
	only             []string
	warmup, duration time.Duration
	touch            bool
}

// limitRow is one loop's figures.
type limitRow struct {
	Loop       string             `json:"loop"`
	CPUPerGB   float64            `json:"cpu_s_per_gb"`
	PerCPU     float64            `json:"requests_per_cpu_s"`
	MBPerS     float64            `json:"mb_per_s"`
	PerS       float64            `json:"requests_per_s"`
	P50Us      float64            `json:"p50_us"`
	P99Us      float64            `json:"p99_us"`
	MaxUs      float64            `json:"max_us"`
	AllFigures map[string]float64 `json:"figures"`
}

func newBenchLimit(con *console) *cobra.Command {
	var f limitFlags
	cmd := &cobra.Command{
		Use: "limit", Short: "What this machine does when the broker is nothing but its system calls",
		Long: `What this machine does when the broker is nothing but its system calls: loops in a process of their own, with as many threads as a
broker has shards, over the loopback.

append: receive a batch, CRC-32C, decompress it if it is compressed, append it to a file. sendfile: send a file that is in memory to who
takes it, asked by nobody. serve: answer requests for pieces of such files, as a broker does; 4 connections. null: receive a small request,
CRC-32C, append, answer; 64 connections. answer: the same with batches. relay: two hops, the floor of end to end latency. journal: write
and fdatasync. On a virtual machine use --touch-memory first: pages that were never used before cost several times as much.`,
		Args: exactly(0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error { return benchLimit(cmd, con, f) },
	}
	cmd.Flags().IntVar(&f.threads, "threads", runtime.NumCPU(), "threads of the loop: the broker's shards")
	cmd.Flags().StringVar(&f.dir, "dir", ".", "folder on the file system under test")
	cmd.Flags().StringSliceVar(&f.only, "only", nil, "names of loops; all without")
	cmd.Flags().DurationVar(&f.warmup, "warmup", time.Second, "time before the measured time")
	cmd.Flags().DurationVar(&f.duration, "duration", 3*time.Second, "measured time of each loop")
	cmd.Flags().BoolVar(&f.touch, "touch-memory", false, "use all free memory once first")
	return cmd
}

func benchLimit(cmd *cobra.Command, con *console, f limitFlags) error {
	if _, err := outputFormat(cmd); err != nil {
		return err
	}
	if f.threads < 1 || f.warmup < 0 || f.duration <= 0 {
		return usagef("--threads, --warmup and --duration want something above zero")
	}
	specs, err := chosenLoops(f)
	if err != nil {
		return err
	}
	if info, err := os.Stat(f.dir); err != nil || !info.IsDir() {
		return fmt.Errorf("--dir %s is no folder", f.dir)
	}
	if f.touch {
		written, err := machine.TouchMemory(cmd.Context())
		if err != nil {
			return err
		}
		fmt.Fprintf(con.err, "used %.1f GB of free memory once\n", float64(written)/1e9)
	}
	rows, runErr := runLoops(cmd.Context(), con, specs, f)
	if len(rows) == 0 {
		return runErr
	}
	cell := func(v float64, digits int) string {
		if v == 0 {
			return ""
		}
		return fmt.Sprintf("%.*f", digits, v)
	}
	header := []string{"LOOP", "CPU-S/GB", "REQUESTS/CPU-S", "MB/S", "REQUESTS/S", "P50-US", "P99-US", "MAX-US"}
	if err := writeList(cmd, header, rows, func(r limitRow) []string {
		return []string{r.Loop, cell(r.CPUPerGB, 3), cell(r.PerCPU, 0), cell(r.MBPerS, 0), cell(r.PerS, 0), cell(r.P50Us, 1), cell(r.P99Us, 1), cell(r.MaxUs, 1)}
	}); err != nil {
		return err
	}
	return runErr
}

func chosenLoops(f limitFlags) (list []limit.Spec, err error) {
	all := limit.Specs(f.threads, f.dir)
	if len(f.only) == 0 {
		return all, nil
	}
	for _, name := range f.only {
		found := false
		for _, s := range all {
			if s.Name == name {
				list, found = append(list, s), true
			}
		}
		if !found {
			names := ""
			for _, s := range all {
				names += " " + s.Name
			}
			return nil, usagef("--only %s: there is no such loop; there are%s", name, names)
		}
	}
	return list, nil
}

// ownProgram is this process's program, also where its file was replaced or removed since it started.
const ownProgram = "/proc/self/exe"

func runLoops(ctx context.Context, con *console, specs []limit.Spec, f limitFlags) (rows []limitRow, err error) {
	for _, spec := range specs {
		fmt.Fprintf(con.err, "%s: %d threads, %v\n", spec.Name, spec.Threads, f.warmup+f.duration)
		figures, err := limit.Run(ctx, []string{ownProgram, "bench", "limit-child"}, spec, limit.Timing{Warmup: f.warmup, Duration: f.duration})
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return rows, err
		}
		named := figures.Figures()
		what := figures.Measures
		row := limitRow{Loop: spec.Name, PerCPU: named["requests_per_cpu_s"], PerS: named["requests_per_s"], AllFigures: named,
			P50Us: named[what+"_p50_us"], P99Us: named[what+"_p99_us"], MaxUs: named[what+"_max_us"]}
		switch spec.Kind {
		case limit.Append, limit.Sendfile, limit.Serve:
			row.CPUPerGB, row.MBPerS = named["cpu_s_per_gb"], named["mb_per_s"]
		}
		rows = append(rows, row)
	}
	return rows, nil
}
