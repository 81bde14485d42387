package admin

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// plainSource has no detail pages.
type plainSource struct {
	*Readiness
	page string
}

func (s plainSource) WriteMetrics(w io.Writer) { io.WriteString(w, s.page) }

// fullSource is what the broker passes.
type fullSource struct {
	*Readiness
	*Meter
}

func serveForTest(t *testing.T, src Source) *Server {
	t.Helper()
	s, err := Serve("127.0.0.1:0", src)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func get(t *testing.T, s *Server, method, path string) (status int, header http.Header, body string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(raw)
}

func TestHealth(t *testing.T) {
	ready := NewReadiness("listeners", "recovery")
	s := serveForTest(t, plainSource{Readiness: ready})
	expect := func(path string, status int, parts ...string) {
		t.Helper()
		got, _, body := get(t, s, "GET", path)
		if got != status {
			t.Errorf("%s: %d, want %d", path, got, status)
		}
		for _, part := range parts {
			if !strings.Contains(body, part) {
				t.Errorf("%s: %q lacks %q", path, body, part)
			}
		}
	}
	readyPaths := []string{"/readyz", "/healthz", "/-/ready"}

	for _, path := range readyPaths {
		expect(path, 503, `"code":"not_ready"`, "2 of 2 checks failing", `"name":"listeners"`, "pending")
	}
	expect("/livez", 200, "ok\n")
	expect("/-/healthy", 200, "ok\n")

	ready.Set("listeners", true, "")
	expect("/readyz", 503, "1 of 2", `"name":"recovery"`)
	if _, _, body := get(t, s, "GET", "/readyz"); strings.Contains(body, "listeners") {
		t.Errorf("a passing check is listed as failing: %s", body)
	}
	expect("/readyz?verbose", 503, `"name":"listeners","ok":true`)

	ready.Set("recovery", true, "12 logs")
	for _, path := range readyPaths {
		expect(path, 200, "ok\n")
	}
	expect("/readyz?verbose", 200, `"status":"ok"`, "12 logs")

	ready.Set("draining", false, "SIGTERM")
	expect("/readyz", 503, "SIGTERM")
}

func TestNoChecksIsNotReady(t *testing.T) {
	s := serveForTest(t, plainSource{Readiness: NewReadiness()})
	for _, path := range []string{"/readyz", "/readyz?verbose"} {
		if status, _, body := get(t, s, "GET", path); status != 503 || !strings.Contains(body, "no check has run") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestErrorsAreJSON(t *testing.T) {
	s := serveForTest(t, plainSource{Readiness: NewReadiness()})
	tests := []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/", 404, "not_found"},
		{"GET", "/metrics/partitions", 404, "not_found"}, // no detail here
		{"GET", "/nowhere\"<script>", 404, "not_found"},
		{"POST", "/readyz", 405, "method_not_allowed"},
		{"DELETE", "/nowhere", 405, "method_not_allowed"},
		{"GET", "/readyz", 503, "not_ready"},
	}
	for _, tt := range tests {
		status, header, body := get(t, s, tt.method, tt.path)
		var p Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || p.Code != tt.code || p.Message == "" {
			t.Errorf("%s %s: %q (%v)", tt.method, tt.path, body, err)
		}
		if status != tt.status || header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, status, header.Get("Content-Type"))
		}
	}
	if status, _, body := get(t, s, "HEAD", "/livez"); status != 200 || body != "" {
		t.Errorf("HEAD: %d %q", status, body)
	}
}

func TestMetricsPages(t *testing.T) {
	plain := serveForTest(t, plainSource{Readiness: NewReadiness(), page: "x 1\n"})
	if status, header, body := get(t, plain, "GET", "/metrics"); status != 200 || body != "x 1\n" || !strings.HasPrefix(header.Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%d %q %q", status, header.Get("Content-Type"), body)
	}
	full := serveForTest(t, fullSource{NewReadiness(), busyMeter(nil)})
	for path, want := range map[string]string{
		"/metrics":            "pinion_shard_busy_seconds_total{shard=\"1\"}",
		"/metrics/shards":     "pinion_shard_turn_seconds_bucket{shard=\"0\",le=\"+Inf\"}",
		"/metrics/partitions": "kafka_topic_partition_current_offset{topic=\"orders\",partition=\"1\"}",
	} {
		status, _, body := get(t, full, "GET", path)
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, lacks %s", path, status, want)
		}
		checkPage(t, body)
	}
}

func TestProfilesOnlyOnLoopback(t *testing.T) {
	s := serveForTest(t, plainSource{Readiness: NewReadiness()})
	if status, _, _ := get(t, s, "GET", "/debug/pprof/cmdline"); status != 200 {
		t.Errorf("on loopback: %d", status)
	}
	all, err := Serve("0.0.0.0:0", plainSource{Readiness: NewReadiness()})
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	if status, _, body := get(t, all, "GET", "/debug/pprof/cmdline"); status != 404 {
		t.Errorf("on every address: %d %s", status, body)
	}
}

func TestServeRefuses(t *testing.T) {
	s := serveForTest(t, plainSource{Readiness: NewReadiness()})
	for _, addr := range []string{s.Addr(), "no port", "127.0.0.1:99999"} {
		if other, err := Serve(addr, plainSource{Readiness: NewReadiness()}); err == nil {
			t.Errorf("%s: served", addr)
			other.Close()
		}
	}
}

// A client that never finishes its request must not hold Close, and clients beyond the bound must wait, not take descriptors.
func TestIdleConnectionsAreBounded(t *testing.T) {
	s, err := Serve("127.0.0.1:0", plainSource{Readiness: NewReadiness()})
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range connectionsMax + 5 {
		c, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		io.WriteString(c, "GET /livez HTTP/1.1\r\nHost: x\r\n")
		conns = append(conns, c)
	}
	last := conns[len(conns)-1]
	io.WriteString(last, "\r\n")
	last.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := last.Read(make([]byte, 1)); err == nil {
		t.Errorf("connection %d was served (%d bytes) beyond the bound", len(conns), n)
	}
	for _, c := range conns[:10] {
		c.Close()
	}
	last.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := last.Read(make([]byte, 1)); err != nil {
		t.Errorf("not served after others left: %v", err)
	}
	begin := time.Now()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 3*closeWaitMax {
		t.Errorf("close took %v", took)
	}
}

func TestConcurrentScrapes(t *testing.T) {
	ready := NewReadiness("a")
	s := serveForTest(t, fullSource{ready, busyMeter(nil)})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 5 {
				ready.Set(fmt.Sprintf("check %d", i), n%2 == 0, "")
				for _, path := range []string{"/metrics", "/metrics/shards", "/readyz"} {
					if status, _, _ := get(t, s, "GET", path); status != 200 && status != 503 {
						t.Errorf("%s: %d", path, status)
					}
				}
			}
		})
	}
	wg.Wait()
}
