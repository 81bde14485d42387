package measure

import "fmt"

// Missing is an error if the percentiles of a run lack something: what was never answered or never read has no latency, and it is
// the slowest of all.
func (r *Run) Missing() error {
	if r.Unanswered == 0 && r.Unread == 0 {
		return nil
	}
	return fmt.Errorf("%d requests had no answer and %d records were not read; the percentiles lack them", r.Unanswered, r.Unread)
}
