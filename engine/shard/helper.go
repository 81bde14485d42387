package shard

// Job is work that may wait for a disk or burn a core for long: Run happens on a helper goroutine, then the job comes home as
// mail and Deliver runs on the shard that asked. While it is away the shard must not touch it.
type Job interface {
	Mail
	Run()
}

// errand is a job with its way home.
type errand struct {
	job  Job
	home *Shard
}

// helpers is a pool of ordinary goroutines. The channel's capacity only decouples; what does not fit waits in a list of the
// asking shard, so a shard never blocks on it.
type helpers struct{ work chan errand }

const helperBacklog = 4096

func startHelpers(n int) *helpers {
	h := &helpers{work: make(chan errand, helperBacklog)}
	for range n {
		go h.run()
	}
	return h
}

func (h *helpers) run() {
	for e := range h.work {
		e.job.Run()
		e.home.Post(e.job)
	}
}

// offer hands over as many waiting errands as fit and returns the rest.
func (h *helpers) offer(waiting []errand) []errand {
	for i, e := range waiting {
		select {
		case h.work <- e:
		default:
			return append(waiting[:0], waiting[i:]...)
		}
	}
	clear(waiting)
	return waiting[:0]
}
