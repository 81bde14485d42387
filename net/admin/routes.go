package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strings"
)

// routes builds the whole surface; local says that only this machine can ask: then /debug/pprof/ is part of it, and changes are taken.
func routes(src Source, local bool) http.Handler {
	mux := http.NewServeMux()
	live := func(w http.ResponseWriter, _ *http.Request) { answerText(w, "ok\n") }
	ready := func(w http.ResponseWriter, r *http.Request) { answerReady(w, r, src.Ready()) }
	mux.HandleFunc("/livez", live)
	mux.HandleFunc("/-/healthy", live)
	mux.HandleFunc("/readyz", ready)
	mux.HandleFunc("/healthz", ready)
	mux.HandleFunc("/-/ready", ready)
	mux.HandleFunc("/metrics", metricsPage(src.WriteMetrics))
	if detail, ok := src.(Detail); ok {
		mux.HandleFunc("/metrics/partitions", metricsPage(detail.WritePartitionMetrics))
		mux.HandleFunc("/metrics/shards", metricsPage(detail.WriteShardMetrics))
	}
	if places, ok := src.(Places); ok {
		placesRoutes(mux, places, local)
	}
	if local {
		// The profiles show memory and take CPU; on a routable address they need a login first.
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		answerError(w, http.StatusNotFound, Problem{
			Code:    "not_found",
			Message: fmt.Sprintf("nothing at %s", r.URL.Path),
			Hint:    "try /livez, /readyz?verbose or /metrics",
		})
	})
	return readOnly(mux)
}

// readOnly refuses every method that could change something, but for the pages below /v1/ that have one of their own.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		puts := r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/v1/")
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !puts {
			w.Header().Set("Allow", "GET, HEAD")
			answerError(w, http.StatusMethodNotAllowed, Problem{
				Code:    "method_not_allowed",
				Message: fmt.Sprintf("%s is not allowed at %s", r.Method, r.URL.Path),
				Hint:    "use GET; the broker is changed through the Kafka protocol",
			})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Problem is the body of every error answer.
type Problem struct {
	Code    string  `json:"code"`
	Message string  `json:"message"`
	Details []Check `json:"details,omitempty"`
	Hint    string  `json:"hint,omitempty"`
}

// readiness is the body of /readyz?verbose.
type readiness struct {
	Status string  `json:"status"`
	Checks []Check `json:"checks"`
}

func answerReady(w http.ResponseWriter, r *http.Request, checks []Check) {
	var failing []Check
	for _, c := range checks {
		if !c.OK {
			failing = append(failing, c)
		}
	}
	if len(checks) == 0 {
		failing = append(failing, Check{Name: "start", Detail: "no check has run yet"})
	}
	_, verbose := r.URL.Query()["verbose"]
	switch {
	case len(failing) > 0:
		shown := failing
		if verbose && len(checks) > 0 {
			shown = checks
		}
		answerError(w, http.StatusServiceUnavailable, Problem{
			Code:    "not_ready",
			Message: fmt.Sprintf("%d of %d checks failing", len(failing), max(len(checks), len(failing))),
			Details: shown,
		})
	case verbose:
		answerJSON(w, http.StatusOK, readiness{Status: "ok", Checks: checks})
	default:
		answerText(w, "ok\n")
	}
}

// metricsPage collects a page before it sends it: a slow scraper must not hold what the writer holds.
func metricsPage(write func(io.Writer)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var page bytes.Buffer
		write(&page)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		// A client that went away is no error of ours.
		_, _ = w.Write(page.Bytes())
	}
}

func answerText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, text)
}

func answerError(w http.ResponseWriter, status int, p Problem) { answerJSON(w, status, p) }

func answerJSON[T Problem | readiness | Moved](w http.ResponseWriter, status int, body T) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
