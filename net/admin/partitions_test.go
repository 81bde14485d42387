package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"
)

// placesSource has two topics and remembers what it was told to move.
type placesSource struct {
	plainSource
	starting bool
	moves    []string
}

func (s *placesSource) Node() (Node, bool) {
	return Node{Cluster: "c", Node: 1, Shards: 2, Advertise: "node", Brokers: []string{"h:1"}}, !s.starting
}

func (s *placesSource) Partitions(topics []string) iter.Seq[Placed] {
	return func(yield func(Placed) bool) {
		for i, name := range []string{"a", "b"} {
			if (len(topics) == 0 || strings.Contains(strings.Join(topics, ","), name)) && !yield(Placed{Topic: name, Leader: 1, Node: 1, Shard: int32(i)}) {
				return
			}
		}
	}
}

func (s *placesSource) Move(_ context.Context, topic string, partition, shard int32) (int32, *Refusal) {
	if topic == "absent" {
		return 0, &Refusal{http.StatusNotFound, Problem{Code: "unknown_topic", Message: "no", Hint: "a"}}
	}
	s.moves = append(s.moves, fmt.Sprint(topic, partition, shard))
	return 1, nil
}

// send asks routes directly; host is what the Host header says.
func send(t *testing.T, s *Server, method, path, host, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if host != "" {
		req.Host = host
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
	return resp.StatusCode, string(raw)
}

func TestPartitions(t *testing.T) {
	src := &placesSource{plainSource: plainSource{Readiness: NewReadiness()}}
	s := serveForTest(t, src)
	for path, want := range map[string]string{"/v1/partitions": "ab", "/v1/partitions?topic=b": "b", "/v1/partitions?topic=x": "", "/v1/partitions?topic=a&topic=b": "ab"} {
		var page struct {
			Node
			Partitions []Placed `json:"partitions"`
		}
		status, body := send(t, s, "GET", path, "", "")
		if err := json.Unmarshal([]byte(body), &page); err != nil || status != 200 || page.Cluster != "c" || page.Shards != 2 {
			t.Fatalf("%s: %d %v %s", path, status, err, body)
		}
		got := ""
		for _, p := range page.Partitions {
			got += p.Topic
		}
		if got != want {
			t.Errorf("%s: topics %q, want %q", path, got, want)
		}
	}
	const one = `{"shard": 0}`
	for _, row := range []struct {
		method, path, host, body string
		status                   int
		part                     string
	}{
		{"PUT", "/v1/partitions/b/0", "", one, 200, `{"topic":"b","partition":0,"from":1,"shard":0}`},
		{"PUT", "/v1/partitions/b/0", "localhost:9644", one, 200, `"from":1`},
		{"PUT", "/v1/partitions/b/0", "[::1]:9644", one, 200, `"from":1`},
		{"PUT", "/v1/partitions/b/0", "evil.example:9644", one, 403, "this machine only"},
		{"PUT", "/v1/partitions/b/0", "10.0.0.1", one, 403, "this machine only"},
		{"PUT", "/v1/partitions/absent/0", "", one, 404, `"hint":"a"`},
		{"PUT", "/v1/partitions/b/x", "", one, 400, "is no partition"},
		{"PUT", "/v1/partitions/b/-1", "", one, 400, "is no partition"},
		{"PUT", "/v1/partitions/b/0", "", `{}`, 400, "does not name a shard"},
		{"PUT", "/v1/partitions/b/0", "", `{"shard": 1, "force": true}`, 400, "does not name a shard"},
		{"PUT", "/v1/partitions/b/0", "", `{"shard": ` + strings.Repeat(" ", bodyBytesMax) + `1}`, 400, "does not name a shard"},
		{"POST", "/v1/partitions/b/0", "", one, 405, "method_not_allowed"},
		{"DELETE", "/v1/partitions/b/0", "", "", 405, "method_not_allowed"},
		{"PUT", "/metrics", "", one, 405, "method_not_allowed"},
		{"PUT", "/v1/other", "", one, 404, "not_found"},
	} {
		if status, body := send(t, s, row.method, row.path, row.host, row.body); status != row.status || !strings.Contains(body, row.part) {
			t.Errorf("%s %s %.20s at %q: %d %s", row.method, row.path, row.body, row.host, status, body)
		}
	}
	if len(src.moves) != 3 {
		t.Errorf("moved %q", src.moves)
	}
	src.starting = true
	for _, method := range []string{"GET", "PUT"} {
		path := map[string]string{"GET": "/v1/partitions", "PUT": "/v1/partitions/b/0"}[method]
		if status, body := send(t, s, method, path, "", one); status != 503 || !strings.Contains(body, "not_ready") {
			t.Errorf("%s while starting: %d %s", method, status, body)
		}
	}
}

// Where others can reach the server it changes nothing.
func TestPartitionsStayWhereOthersCanAsk(t *testing.T) {
	src := &placesSource{plainSource: plainSource{Readiness: NewReadiness()}}
	s, err := Serve("0.0.0.0:0", src)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if status, body := send(t, s, "PUT", "/v1/partitions/b/0", "", `{"shard": 0}`); status != 403 || !strings.Contains(body, "set pinion.admin=127.0.0.1:9644") || len(src.moves) != 0 {
		t.Errorf("%d %s, moved %v", status, body, src.moves)
	}
	if status, _ := send(t, s, "GET", "/v1/partitions", "", ""); status != 200 {
		t.Errorf("list: %d", status)
	}
}
