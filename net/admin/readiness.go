package admin

import "sync"

// Readiness is a list of checks that starts with all of them failing and is told how each fares: the simplest thing that can
// answer Source.Ready. Any goroutine may call it.
type Readiness struct {
	mu     sync.Mutex // guards what follows
	checks []Check
}

// NewReadiness names the checks, in the order in which they are shown. Each fails with the detail "pending" until Set.
func NewReadiness(names ...string) *Readiness {
	r := &Readiness{}
	for _, name := range names {
		r.checks = append(r.checks, Check{Name: name, Detail: "pending"})
	}
	return r
}

// Set tells how a check fares. A name that is not there yet is added.
func (r *Readiness) Set(name string, ok bool, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.checks {
		if r.checks[i].Name == name {
			r.checks[i] = Check{Name: name, OK: ok, Detail: detail}
			return
		}
	}
	r.checks = append(r.checks, Check{Name: name, OK: ok, Detail: detail})
}

// Ready returns a copy of the list.
func (r *Readiness) Ready() []Check {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Check(nil), r.checks...)
}
