package partition

import (
	"time"

	"pinion/engine/clock"
	"pinion/engine/model"
	"pinion/engine/must"
)

// Marks are the offsets everything waits on. Invariants: Stable <= High <= End and Durable <= End.
type Marks struct {
	End     model.Offset // next offset to assign, counting only what is written
	Durable model.Offset // everything below survives a power cut, as far as the topic's durability promises
	High    model.Offset // first offset consumers may not see yet
	Stable  model.Offset // first offset of the oldest open transaction, or High
}

// fresh says which records were written a moment ago: from an offset on, those of the time since. Nobody has to ask whether they are in memory.
type fresh struct {
	from  model.Offset
	since clock.Mono
}

// freshFor is how long a mark takes writes; what it says holds for twice as long. Even a cache of 256 MiB through which a reader of old records
// goes at a gigabyte a second has then not lost them.
const freshFor = 100 * time.Millisecond

// wrote notes a write behind end.
func (f *fresh) wrote(now clock.Mono, end model.Offset) {
	if f.since == 0 || now.Sub(f.since) > freshFor {
		*f = fresh{from: end, since: now}
	}
}

// until is how long everything from an offset on is known to be fresh, 0 where nothing is known of it.
func (f *fresh) until(from model.Offset) clock.Mono {
	if f.since == 0 || from < f.from {
		return 0
	}
	return f.since.Add(2 * freshFor)
}

// Written tells that the log holds everything below end. In memory durability a written byte counts as durable, and the only
// replica of a partition decides its high watermark alone.
func (m *Marks) Written(end model.Offset) {
	if end < m.End {
		must.Failf("log end moved back from %d to %d without a truncation", m.End, end)
	}
	m.End, m.Durable, m.High, m.Stable = end, end, end, end
	m.check()
}

// Appended tells that the log holds everything below end, and that it is neither durable nor visible yet.
func (m *Marks) Appended(end model.Offset) {
	if end < m.End {
		must.Failf("log end moved back from %d to %d without a truncation", m.End, end)
	}
	m.End = end
	m.check()
}

// Persisted tells that everything below durable survives a power cut. The only replica decides its high watermark alone; where a topic
// became durable later than something was seen, High is ahead and waits.
func (m *Marks) Persisted(durable model.Offset) {
	m.Durable = max(m.Durable, durable)
	m.High = max(m.High, m.Durable)
	m.Stable = m.High
	m.check()
}

// Truncated tells that the log was cut to end.
func (m *Marks) Truncated(end model.Offset) {
	m.End = min(m.End, end)
	m.Durable = min(m.Durable, end)
	m.High = min(m.High, end)
	m.Stable = min(m.Stable, end)
	m.check()
}

func (m *Marks) check() {
	if m.Stable > m.High || m.High > m.End || m.Durable > m.End {
		must.Failf("marks out of order: stable %d, high %d, durable %d, end %d", m.Stable, m.High, m.Durable, m.End)
	}
}

// Promised is the offset below which everything may be acknowledged to whoever wants all replicas to have it: readers see it, and a power cut does not
// take it, as far as the topic's durability promises now. A topic that became durable has shown more.
func (m *Marks) Promised() model.Offset { return min(m.High, m.Durable) }

// Visible is the first offset a reader may not see: the stable one for those who read only committed records.
func (m *Marks) Visible(committed bool) model.Offset {
	if committed {
		return m.Stable
	}
	return m.High
}
