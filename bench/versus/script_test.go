package versus

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// answering is what both sides say to one request.
func answering(t *testing.T, kafka, pinion kmsg.Response) *script {
	t.Helper()
	sides := make([]*party, 2)
	for i, name := range []string{"Kafka", "Pinion"} {
		p, err := newParty(name, "127.0.0.1:1", "")
		if err != nil {
			t.Fatal(err)
		}
		sides[i] = p
	}
	s := newScript(sides[0], sides[1])
	s.compare("a step", func(*party) kmsg.Request { return kmsg.NewPtrListOffsetsRequest() }, func(p *party, _ kmsg.Request) outcome {
		if p == s.kafka {
			return outcome{fate: answered, resp: kafka}
		}
		return outcome{fate: answered, resp: pinion}
	}, false)
	return s
}

func offsets(offset int64, code int16) *kmsg.ListOffsetsResponse {
	p := kmsg.NewListOffsetsResponseTopicPartition()
	p.Offset, p.ErrorCode = offset, code
	t := kmsg.NewListOffsetsResponseTopic()
	t.Topic, t.Partitions = "t", append(t.Partitions, p)
	resp := kmsg.NewPtrListOffsetsResponse()
	resp.Topics = append(resp.Topics, t)
	return resp
}

func TestEqualAnswersAreNoDifference(t *testing.T) {
	slow := offsets(5, 0)
	slow.ThrottleMillis = 100
	if s := answering(t, offsets(5, 0), slow); len(s.found) != 0 {
		t.Errorf("found %v", s.found)
	}
}

func TestEveryDifferenceIsFound(t *testing.T) {
	s := answering(t, offsets(5, 0), offsets(6, 3))
	var text []string
	for i := range s.found {
		text = append(text, s.found[i].String())
	}
	found := strings.Join(text, "\n")
	for _, want := range []string{"Topics[t].Partitions[0].Offset: Kafka 5, Pinion 6", "Topics[t].Partitions[0].ErrorCode: Kafka NONE, Pinion UNKNOWN_TOPIC_OR_PARTITION"} {
		if !strings.Contains(found, want) {
			t.Errorf("%q is not in\n%s", want, found)
		}
	}
	if len(s.found) != 2 {
		t.Errorf("found\n%s", found)
	}
	more := offsets(5, 0)
	more.Topics = append(more.Topics, more.Topics[0])
	if s := answering(t, offsets(5, 0), more); len(s.found) != 1 || s.found[0].path != "Topics" {
		t.Errorf("one topic more: %v", s.found)
	}
}

// An entry of the list that never occurs is a fault, and so is a version that is advertised and not asked.
func TestStaleEntriesAndUnaskedVersionsAreFaults(t *testing.T) {
	s := answering(t, offsets(5, 0), offsets(5, 0))
	r := s.report([]kmsg.ApiVersionsResponseApiKey{{ApiKey: 2, MinVersion: 0, MaxVersion: 1}}, true)
	stale, unasked := 0, 0
	for _, fault := range r.Faults {
		if strings.HasPrefix(fault, "intended, and it does not occur") {
			stale++
		}
		if strings.Contains(fault, "nothing asks it") {
			unasked++
		}
	}
	if stale != len(Intended) || unasked != 1 {
		t.Errorf("%d of %d stale, %d unasked: %v", stale, len(Intended), unasked, r.Faults)
	}
	if s.intended[0] = 1; len(s.report(nil, true).Faults) != len(Intended)-1 {
		t.Error("an entry that occurred is still stale")
	}
}

func TestIntendedDifferencesAreExplained(t *testing.T) {
	d := &Difference{Keys: []int16{2}, Step: "one|two *", Path: "*.ErrorCode", Kafka: "A"}
	for _, c := range []struct {
		f    difference
		want bool
	}{
		{difference{KeyVersion{2, 1}, "one", "X[1].ErrorCode", "A", "B"}, true},
		{difference{KeyVersion{2, 1}, "two of them", "X.ErrorCode", "A", "C"}, true},
		{difference{KeyVersion{3, 1}, "one", "X.ErrorCode", "A", "B"}, false},
		{difference{KeyVersion{2, 1}, "three", "X.ErrorCode", "A", "B"}, false},
		{difference{KeyVersion{2, 1}, "one", "X.Offset", "A", "B"}, false},
		{difference{KeyVersion{2, 1}, "one", "X.ErrorCode", "D", "B"}, false},
	} {
		if got := d.explains(&c.f); got != c.want {
			t.Errorf("%+v: %v", c.f, got)
		}
	}
	for _, e := range Intended {
		if e.What == "" || e.Why == "" || e.Keys == nil && e.Step == "" && e.Path == "" {
			t.Errorf("an entry without a reason, or that explains everything: %+v", e)
		}
	}
}
