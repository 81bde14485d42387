package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// Places is a Source that knows on which shard each partition lives, and can move one. Kafka's protocol has no word for shards, so this is
// the door for it; without it the pages are 404. Its methods are called from the server's goroutines, several at once.
type Places interface {
	// Node describes the node; false while it is not serving.
	Node() (Node, bool)
	// Partitions yields the partitions of the named topics, or of all, in order of name and index.
	Partitions(topics []string) iter.Seq[Placed]
	// Move gives a partition to another shard of this node and returns the one it was on.
	Move(ctx context.Context, topic string, partition, shard int32) (from int32, refusal *Refusal)
}

// Node is a node as /v1/partitions shows it.
type Node struct {
	Cluster   string   `json:"cluster"`
	Node      int32    `json:"node"`
	Shards    int      `json:"shards"`
	Advertise string   `json:"advertise"` // node or core: whom leaders are
	Brokers   []string `json:"brokers"`   // host:port to bootstrap from
}

// Placed is where one partition lives.
type Placed struct {
	Topic       string `json:"topic"`
	Partition   int32  `json:"partition"`
	Leader      int32  `json:"leader"` // as clients see it; -1: none
	LeaderEpoch int32  `json:"leader_epoch"`
	Node        int32  `json:"node"`  // the leader's
	Shard       int32  `json:"shard"` // the leader's, on its node
}

// Moved is the answer to a move.
type Moved struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      int32  `json:"from"`
	Shard     int32  `json:"shard"`
}

// Refusal is a Problem with its HTTP status.
type Refusal struct {
	Status int
	Problem
}

// moveMax bounds the time a move may take to be agreed on.
const moveMax = 10 * time.Second

// placesRoutes adds the pages. Changes are taken only where nobody but this machine can ask, as there is no login.
func placesRoutes(mux *http.ServeMux, places Places, local bool) {
	mux.HandleFunc("GET /v1/partitions", func(w http.ResponseWriter, r *http.Request) { listPlaces(w, r, places) })
	mux.HandleFunc("PUT /v1/partitions/{topic}/{partition}", func(w http.ResponseWriter, r *http.Request) {
		if !local || !isLocalHost(r.Host) {
			answerError(w, http.StatusForbidden, Problem{
				Code:    "forbidden",
				Message: "changes are taken from this machine only, at a loopback address",
				Hint:    "set pinion.admin=127.0.0.1:9644 and ask there",
			})
			return
		}
		movePlace(w, r, places)
	})
}

// isLocalHost keeps out pages of the web that had their own name resolve to this machine.
func isLocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

var notServing = Problem{Code: "not_ready", Message: "the node is not serving", Hint: "see /readyz?verbose"}

// listPlaces writes one partition a line, so that a million of them need no memory here.
func listPlaces(w http.ResponseWriter, r *http.Request, places Places) {
	node, ok := places.Node()
	if !ok {
		answerError(w, http.StatusServiceUnavailable, notServing)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	out := bufio.NewWriter(w)
	head, _ := json.Marshal(node)
	_, _ = fmt.Fprintf(out, "%s,\"partitions\":[", head[:len(head)-1])
	encoder := json.NewEncoder(out)
	separator := "\n"
	for p := range places.Partitions(r.URL.Query()["topic"]) {
		_, _ = out.WriteString(separator)
		separator = ","
		if encoder.Encode(p) != nil {
			return // the client went away
		}
	}
	_, _ = out.WriteString("]}\n")
	_ = out.Flush()
}

func movePlace(w http.ResponseWriter, r *http.Request, places Places) {
	partition, err := strconv.ParseInt(r.PathValue("partition"), 10, 32)
	if err != nil || partition < 0 {
		answerError(w, http.StatusBadRequest, Problem{Code: "bad_request", Message: fmt.Sprintf("%q is no partition", r.PathValue("partition"))})
		return
	}
	var body struct {
		Shard *int32 `json:"shard"`
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil || body.Shard == nil {
		answerError(w, http.StatusBadRequest, Problem{Code: "bad_request", Message: "the body does not name a shard", Hint: `send {"shard": 0}`})
		return
	}
	if _, ok := places.Node(); !ok {
		answerError(w, http.StatusServiceUnavailable, notServing)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), moveMax)
	defer cancel()
	from, refusal := places.Move(ctx, r.PathValue("topic"), int32(partition), *body.Shard)
	if refusal != nil {
		answerError(w, refusal.Status, refusal.Problem)
		return
	}
	answerJSON(w, http.StatusOK, Moved{r.PathValue("topic"), int32(partition), from, *body.Shard})
}
