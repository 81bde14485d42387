package limit

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// childEnv makes this test program the child.
const childEnv = "PINION_LIMIT_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := Child(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEveryLoopWorks(t *testing.T) {
	t.Setenv(childEnv, "1")
	for _, spec := range Specs(2, t.TempDir()) {
		t.Run(spec.Name, func(t *testing.T) {
			f, err := Run(t.Context(), []string{os.Args[0]}, spec, Timing{50 * time.Millisecond, 300 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			if f.Requests == 0 || f.Took < 250*time.Millisecond || f.CPU <= 0 {
				t.Fatalf("%+v", f)
			}
			if (spec.Kind == Serve || spec.Kind == Null || spec.Kind == Relay || spec.Kind == Journal) && f.Latency.TotalCount() == 0 {
				t.Fatal("no latencies")
			}
			t.Logf("%d requests, %.2f CPU s/GB, %.0f requests per CPU s", f.Requests, f.CPUSecondsPerGB(), f.RequestsPerCPUSecond())
		})
	}
}

func TestFailingWritesAreSeen(t *testing.T) {
	t.Setenv(childEnv, "1")
	for _, spec := range Specs(1, "/dev/null/not-a-folder") {
		if spec.Kind == Relay { // the same code as null
			continue
		}
		if f, err := Run(t.Context(), []string{os.Args[0]}, spec, Timing{0, 200 * time.Millisecond}); err == nil {
			t.Errorf("%s wrote %d bytes into a folder that is none", spec.Name, f.Bytes)
		}
	}
}
