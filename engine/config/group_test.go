package config

import (
	"strings"
	"testing"
)

// A group's settings are refused where Kafka 4.3 refuses them, in its words.
func TestCheckGroup(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"consumer.session.timeout.ms=50000", ""},
		{"consumer.session.timeout.ms=44999", "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"},
		{"consumer.session.timeout.ms=60001", "consumer.session.timeout.ms must be less than or equal to group.consumer.max.session.timeout.ms"},
		{"consumer.session.timeout.ms=0", "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1"},
		{"consumer.session.timeout.ms=soon", "Invalid value soon for configuration consumer.session.timeout.ms: Not a number of type INT"},
		{"consumer.assignment.interval.ms=20000", "consumer.assignment.interval.ms must be less than or equal to group.consumer.max.assignment.interval.ms"},
		{"share.isolation.level=none", "Invalid value none for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted"},
		{"share.auto.offset.reset=by_duration:PT1H30M", ""}, {"share.auto.offset.reset=by_duration:P2D", ""}, {"share.auto.offset.reset=by_duration:PT0.5S", ""},
		{"share.auto.offset.reset=by_duration:", "Invalid value by_duration:"}, {"share.auto.offset.reset=by_duration:P", "Invalid value"},
		{"share.auto.offset.reset=by_duration:PT", "Invalid value"}, {"share.auto.offset.reset=Latest", "Invalid value Latest"},
		{"streams.num.standby.replicas=3", "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas"},
		{"share.delivery.count.limit=11", "share.delivery.count.limit must be less than or equal to group.share.max.delivery.count.limit"},
		{"share.record.lock.duration.ms=60001", "share.record.lock.duration.ms must be less than or equal to group.share.max.record.lock.duration.ms"},
		{"retention.ms=5", "Unknown group config name: retention.ms"},
	} {
		overrides := map[string]string{}
		if key, value, set := strings.Cut(c.text, "="); set {
			overrides[key] = value
		}
		got := ""
		if err := Default().CheckGroup(overrides); err != nil {
			got = err.Error()
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}

// What a broker allows counts as it is set, and a group without a setting has the broker's.
func TestGroupFollowsTheBroker(t *testing.T) {
	b, _ := load(t, "group.consumer.max.session.timeout.ms=90000\ngroup.consumer.session.timeout.ms=80000\ngroup.consumer.heartbeat.interval.ms=6000")
	if err := b.CheckGroup(map[string]string{"consumer.session.timeout.ms": "85000"}); err != nil {
		t.Error(err)
	}
	for _, e := range b.DescribeGroup(map[string]string{"consumer.heartbeat.interval.ms": "7000"}) {
		switch e.Name {
		case "consumer.session.timeout.ms":
			if e.Value != "80000" || e.Source != SourceStaticBroker || e.Synonyms[0].Name != "group.consumer.session.timeout.ms" {
				t.Errorf("%+v", e)
			}
		case "consumer.heartbeat.interval.ms":
			if e.Value != "7000" || e.Source != SourceGroup || len(e.Synonyms) != 3 {
				t.Errorf("%+v", e)
			}
		case "share.isolation.level":
			if e.Value != "read_uncommitted" || e.Source != SourceDefault || len(e.Synonyms) != 1 {
				t.Errorf("%+v", e)
			}
		}
	}
}

func TestCheckClientMetrics(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"interval.ms", "100", ""}, {"interval.ms", "99", "Invalid value 99 for interval.ms"}, {"interval.ms", "x", "Invalid value x"},
		{"metrics", "a.b,c", ""}, {"metrics", "", ""}, {"metrics", "a,a", "Configuration 'metrics' values must not be duplicated."},
		{"match", "client_id=a.*,client_software_name=java", ""}, {"match", "client_id", "Illegal client matching pattern"},
		{"match", "client_id=(", "Illegal client matching pattern"}, {"match", "host=a", "Illegal client matching pattern"},
		{"retention.ms", "1", "Unknown client metrics configuration: retention.ms"},
	} {
		got := ""
		if err := CheckClientMetrics(map[string]string{c.key: c.value}); err != nil {
			got = err.Error()
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s=%s: %q, want %q", c.key, c.value, got, c.want)
		}
	}
}
