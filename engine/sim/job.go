package sim

import "iter"

// running is a helper's job under way. It stops before each change of the disk until it is resumed, so that turns, other jobs and
// failures come in between wherever they can in production.
type running struct {
	resume func() (struct{}, bool)
	stop   func()
	home   func()
	yield  func(struct{}) bool
}

// begin takes a job over. Nothing of it runs before it is resumed; home is called when it has ended.
func begin(run, home func()) *running {
	r := &running{home: home}
	r.resume, r.stop = iter.Pull(func(yield func(struct{}) bool) {
		r.yield = yield
		run()
	})
	return r
}

// advance lets the job go on up to its next change of the disk. It reports whether the job has ended; then it is on its way home.
func (n *node) advance(r *running) (ended bool) {
	n.current = r
	_, more := r.resume()
	n.current = nil
	if !more {
		r.home()
	}
	return !more
}

// pause is what the disk calls before each change: a job under way stops there.
func (n *node) pause() {
	if r := n.current; r != nil {
		n.current = nil
		r.yield(struct{}{}) // false once the node is dead; the disk is off then
		n.current = r
	}
}

// abandon ends the jobs of a node that is dead. Its disk is off: what they still try fails.
func (n *node) abandon() {
	for _, r := range n.running {
		r.stop()
	}
	n.running = nil
}
