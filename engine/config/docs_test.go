package config

import (
	"strings"
	"testing"
)

func TestEveryKeyIsDocumented(t *testing.T) {
	b := Default()
	for _, list := range [][]Entry{b.Describe(nil), b.DescribeBroker(), b.DescribeGroup(nil), DescribeClientMetrics(nil)} {
		for _, e := range list {
			if text := e.Documentation(); text == "" || !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q", e.Name, text)
			}
		}
	}
	for row := range TopicKeys() {
		if docs()[row.Name] == "" {
			t.Errorf("%s is not documented", row.Name)
		}
	}
	for name := range docs() {
		_, topic := LookupTopic(name)
		_, group := LookupGroup(name)
		_, metrics := LookupClientMetrics(name)
		if _, broker := LookupBroker(name); !topic && !broker && !group && !metrics {
			t.Errorf("%s is documented and no key", name)
		}
	}
}
