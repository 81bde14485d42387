// Package admin answers health checks, metrics and profiles over HTTP, on goroutines of its own, off the shards' threads: a scrape
// reads what the shards have published and never waits for one, so it works when a shard does not.
//
//	/livez                       the process runs
//	/readyz /healthz /-/ready    200 when every check passes, 503 with the failing ones when not; ?verbose lists all
//	/-/healthy                   the process runs (Prometheus's name)
//	/metrics                     bounded: the broker, its shards, its largest topics
//	/metrics/partitions          one group of series per partition
//	/metrics/shards              histograms per shard
//	/v1/partitions               which partition lives on which shard; ?topic=NAME, repeatable
//	PUT /v1/partitions/T/P       {"shard": N} moves partition P of topic T; only while bound to a loopback address
//	/debug/pprof/                Go profiles, only while bound to a loopback address
//
// Serve owns the listener and its goroutines; Meter owns what it remembers between scrapes, under a mutex, because two scrapers
// may come at once. There is no authentication, so the address is loopback unless the operator says otherwise, and every request is GET
// or HEAD but for what Kafka's protocol has no words for: shards.
package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Check is one condition of readiness, such as "listeners open" or "recovery done".
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// Source is what the server shows. Its methods are called from the server's goroutines, several at once.
type Source interface {
	// Ready lists every condition of readiness, failing or not. No checks at all means not ready.
	Ready() []Check
	// WriteMetrics writes the page /metrics in Prometheus text format.
	WriteMetrics(w io.Writer)
}

// Detail is a Source with pages whose size grows with the node. Without it they are 404.
type Detail interface {
	WritePartitionMetrics(w io.Writer)
	WriteShardMetrics(w io.Writer)
}

// Server is a running admin server.
type Server struct {
	http     *http.Server
	listener net.Listener
	done     chan struct{}
}

// The server's bounds. It is for an operator, a load balancer and two scrapers, not for the public.
const (
	connectionsMax  = 64
	headerBytesMax  = 16 << 10
	bodyBytesMax    = 64 << 10
	headerWaitMax   = 5 * time.Second
	readWaitMax     = 10 * time.Second
	writeWaitMax    = 90 * time.Second // a CPU profile takes 30 s by default
	idleWaitMax     = 2 * time.Minute
	closeWaitMax    = time.Second
	shutdownMessage = "admin server stopped"
)

// Serve listens on addr (host:port; port 0 picks one) and answers until Close.
func Serve(addr string, src Source) (*Server, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("admin server: %w", err)
	}
	tcp := listener.Addr().(*net.TCPAddr)
	s := &Server{
		listener: listener,
		done:     make(chan struct{}),
		http: &http.Server{
			Handler:           http.MaxBytesHandler(routes(src, tcp.IP.IsLoopback()), bodyBytesMax),
			ReadHeaderTimeout: headerWaitMax,
			ReadTimeout:       readWaitMax,
			WriteTimeout:      writeWaitMax,
			IdleTimeout:       idleWaitMax,
			MaxHeaderBytes:    headerBytesMax,
			ErrorLog:          slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		},
	}
	go s.run()
	return s, nil
}

func (s *Server) run() {
	defer close(s.done)
	err := s.http.Serve(bounded(s.listener, connectionsMax))
	if !errors.Is(err, http.ErrServerClosed) {
		slog.Error(shutdownMessage, "address", s.listener.Addr().String(), "error", err)
	}
}

// Addr is the bound address, with the real port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// URL is the server's root, without a trailing slash, as a person on this machine would type it.
func (s *Server) URL() string {
	tcp := s.listener.Addr().(*net.TCPAddr)
	host := tcp.IP.String()
	if tcp.IP.IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, fmt.Sprint(tcp.Port))
}

// Close stops accepting, gives running requests a second, and waits for the server's goroutine.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeWaitMax)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	<-s.done
	return err
}
