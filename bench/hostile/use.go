package hostile

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"pinion/bench/harness"
)

// Use is what a broker holds at a moment.
type Use struct {
	Anon        int64 // bytes of memory that mirror no file
	Resident    int64 // bytes of memory in all
	Files       int   // open descriptors
	Goroutines  int
	Connections int
	Request     int64 // bytes of the budgets of all shards that are in use
	Parked      int64
	Response    int64
}

func (u *Use) String() string {
	return fmt.Sprintf("RssAnon %.1f MiB, RSS %.1f MiB, %d files, %d goroutines, %d connections, budgets: request %d, parked %d, response %d bytes",
		float64(u.Anon)/(1<<20), float64(u.Resident)/(1<<20), u.Files, u.Goroutines, u.Connections, u.Request, u.Parked, u.Response)
}

// most keeps the larger of each.
func (u *Use) most(o *Use) {
	u.Anon, u.Resident = max(u.Anon, o.Anon), max(u.Resident, o.Resident)
	u.Files, u.Goroutines, u.Connections = max(u.Files, o.Files), max(u.Goroutines, o.Goroutines), max(u.Connections, o.Connections)
	u.Request, u.Parked, u.Response = max(u.Request, o.Request), max(u.Parked, o.Parked), max(u.Response, o.Response)
}

// use asks the kernel and the broker's metrics.
func use(b *harness.Broker) (u Use, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", b.Pid))
	if err != nil {
		return u, fmt.Errorf("memory of the broker: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		for name, field := range map[string]*int64{"RssAnon:": &u.Anon, "VmRSS:": &u.Resident} {
			if rest, ok := strings.CutPrefix(line, name); ok {
				kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				if err != nil {
					return u, fmt.Errorf("memory of the broker: %w", err)
				}
				*field = kb << 10
			}
		}
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.Pid))
	if err != nil {
		return u, fmt.Errorf("descriptors of the broker: %w", err)
	}
	u.Files = len(files)
	page, err := metrics(b)
	if err != nil {
		return u, err
	}
	used := func(budget string) int64 {
		return int64(sum(page, "pinion_shard_budget_used_bytes", `budget="`+budget+`"`))
	}
	u.Goroutines, u.Connections = int(sum(page, "go_goroutines", "")), int(sum(page, "pinion_shard_connections", ""))
	u.Request, u.Parked, u.Response = used("request"), used("parked"), used("response")
	return u, nil
}

func metrics(b *harness.Broker) (string, error) {
	client := http.Client{Timeout: hangMax}
	resp, err := client.Get(b.Admin + "/metrics")
	if err != nil {
		return "", fmt.Errorf("metrics: %w", err)
	}
	defer client.CloseIdleConnections()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", fmt.Errorf("metrics: %w", err)
	}
	return string(text), nil
}

// sum adds up the series of a name whose labels hold a part.
func sum(page, name, part string) (total float64) {
	for line := range strings.Lines(page) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' || !strings.Contains(rest, part) {
			continue
		}
		if x, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64); err == nil {
			total += x
		}
	}
	return total
}
