package versus

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// KeyVersion is one version of one key.
type KeyVersion struct{ Key, Version int16 }

// difference is one place where the answers to a step differ.
type difference struct {
	at            KeyVersion
	step, path    string
	kafka, pinion string
}

func (d *difference) String() string {
	return fmt.Sprintf("%s v%d, %s: %s: Kafka %s, Pinion %s", kmsg.NameForKey(d.at.Key), d.at.Version, d.step, d.path, d.kafka, d.pinion)
}

// script is one run: both parties and what was found.
type script struct {
	kafka, pinion *party
	base          int64 // a time in the past; record timestamps count from it

	asked    map[KeyVersion]int
	requests int
	settled  int          // steps at which Kafka had to be asked again
	hurried  int          // how often Pinion said that it had no time
	found    []difference // what Intended does not explain
	intended []int        // how often each entry of Intended occurred
	broken   error        // preparation failed: nothing that follows means anything
}

func newScript(kafka, pinion *party) *script {
	return &script{kafka: kafka, pinion: pinion, base: time.Now().Add(-24 * time.Hour).UnixMilli(), asked: map[KeyVersion]int{}, intended: make([]int, len(Intended))}
}

func (s *script) parties() []*party { return []*party{s.kafka, s.pinion} }

// maker makes the request for one party: topic ids, producer ids and sessions are different ones.
type maker func(p *party) kmsg.Request

// settleMax is how long Kafka gets to show what it has acknowledged.
const settleMax = 5 * time.Second

// settlePoll is how often it is asked meanwhile.
const settlePoll = 20 * time.Millisecond

// ask compares the answers to a question, which changes nothing: Kafka may be asked again.
func (s *script) ask(step string, req maker) { s.compare(step, req, (*party).ask, true) }

// do compares the answers to a request that changes something, or that only means something once.
func (s *script) do(step string, req maker) { s.compare(step, req, (*party).ask, false) }

// doBriefly is do with little patience, for what one side never answers.
func (s *script) doBriefly(step string, req maker) {
	for _, p := range s.parties() {
		p.patience = briefMax
	}
	s.compare(step, req, (*party).ask, false)
	for _, p := range s.parties() {
		p.patience = answerMax
	}
}

// briefMax is enough for an answer that will come.
const briefMax = 2 * time.Second

// tell compares what becomes of a request that wants no answer.
func (s *script) tell(step string, req maker) { s.compare(step, req, (*party).tell, false) }

func (s *script) compare(step string, req maker, send func(*party, kmsg.Request) outcome, again bool) {
	if s.broken != nil {
		return
	}
	asked := req(s.kafka)
	at := KeyVersion{asked.Key(), asked.GetVersion()}
	s.asked[at]++
	s.requests++
	kafka := s.step(s.kafka, asked, send)
	pinion := s.step(s.pinion, req(s.pinion), send)
	for limit := time.Now().Add(settleMax); again && pinion.hurried() && time.Now().Before(limit); s.hurried++ {
		pinion = s.step(s.pinion, req(s.pinion), send)
	}
	differences := s.differ(at, step, kafka, pinion)
	if again && len(differences) > 0 {
		for limit := time.Now().Add(settleMax); len(differences) > 0 && time.Now().Before(limit); {
			time.Sleep(settlePoll)
			differences = s.differ(at, step, s.step(s.kafka, req(s.kafka), send), pinion)
		}
		if len(differences) == 0 {
			s.settled++
		}
	}
	for i := range differences {
		s.found = append(s.found, differences[i])
	}
	for i, n := range s.explained(at, step, kafka, pinion) {
		s.intended[i] += n
	}
}

// hurried reports an answer with the error of a shard that did not answer in time, which a machine with other work to do causes: Kafka, too,
// has it for a leader that is not ready, and clients ask again.
func (l layout) hurried() bool {
	for path, value := range l {
		if strings.HasSuffix(path, "ErrorCode") && value == "OFFSET_NOT_AVAILABLE" {
			return true
		}
	}
	return false
}

// ordered are the keys whose answers are read in order: a fetch's partitions are consumed in turn.
func ordered(key int16) bool { return key == kmsg.Fetch.Int16() }

func (s *script) step(p *party, req kmsg.Request, send func(*party, kmsg.Request) outcome) layout {
	o := send(p, req)
	p.learn(o)
	return p.layout(o, ordered(req.Key()))
}

// differ lists where two layouts differ for no reason that is given.
func (s *script) differ(at KeyVersion, step string, kafka, pinion layout) []difference {
	var list []difference
	for _, d := range between(at, step, kafka, pinion) {
		if explanation(&d) < 0 {
			list = append(list, d)
		}
	}
	return list
}

// explained counts the differences each entry of Intended explains.
func (s *script) explained(at KeyVersion, step string, kafka, pinion layout) map[int]int {
	counts := map[int]int{}
	for _, d := range between(at, step, kafka, pinion) {
		if i := explanation(&d); i >= 0 {
			counts[i]++
		}
	}
	return counts
}

// absent stands for a path that one layout does not have.
const absent = "nothing"

func between(at KeyVersion, step string, kafka, pinion layout) []difference {
	paths := map[string]bool{}
	for path := range kafka {
		paths[path] = true
	}
	for path := range pinion {
		paths[path] = true
	}
	var list []difference
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		k, ok := kafka[path]
		if !ok {
			k = absent
		}
		p, ok := pinion[path]
		if !ok {
			p = absent
		}
		if k != p && !(k == absent || p == absent) || (k == absent || p == absent) && !implied(path, kafka, pinion) {
			list = append(list, difference{at, step, path, k, p})
		}
	}
	return list
}

// implied says whether a path is there on one side alone because what it is a part of is: another difference tells that.
func implied(path string, kafka, pinion layout) bool {
	if kafka["fate"] != pinion["fate"] {
		return path != "fate"
	}
	for i, c := range path {
		if c == '[' && kafka[path[:i]] != pinion[path[:i]] {
			return true
		}
	}
	return false
}

// prepare has both parties answer a request well.
func (s *script) prepare(what string, req maker, good func(resp kmsg.Response) error) {
	for _, p := range s.parties() {
		s.prepareOne(p, what, req(p), good)
	}
}

// prepareOne has a party answer a request well, asking again for a while where it does not yet.
func (s *script) prepareOne(p *party, what string, req kmsg.Request, good func(resp kmsg.Response) error) {
	for limit := time.Now().Add(answerMax); s.broken == nil; time.Sleep(settlePoll) {
		o := p.ask(req)
		p.learn(o)
		err := fmt.Errorf("%s %v", o.fate, o.why)
		if o.fate == answered {
			err = good(o.resp)
		}
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			s.broken = fmt.Errorf("%s: %s: %w", p.name, what, err)
		}
	}
}
