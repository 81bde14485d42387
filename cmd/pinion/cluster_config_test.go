package main

import (
	"encoding/json"
	"testing"

	"pinion/bench/harness"
)

// Settings are shown with where they come from, changed for the cluster and for one broker, and taken back; mistakes have their exit codes.
func TestClusterConfig(t *testing.T) {
	dir := t.TempDir()
	b := harness.Run(t, harness.Config{Dir: dir, Set: []string{"log.retention.ms=5000"}})
	want := func(code int, table string, args ...string) {
		t.Helper()
		if r := pinionAt(t, b, "", append([]string{"cluster", "config"}, args...)...); r.code != code || table != "*" && r.table() != table {
			t.Fatalf("%q: code %d, want %d\nout:\n%s\nwant:\n%s\nerr: %s", args, r.code, code, r.table(), table, r.err)
		}
	}
	const header = "BROKER KEY VALUE SOURCE STATUS\n"
	want(0, header+"1 log.retention.ms 5000 STATIC_BROKER_CONFIG -", "get", "log.retention.ms")
	want(0, header+"1 message.max.bytes 1048588 DEFAULT_CONFIG -", "get", "message.max.bytes", "--broker", "1")
	want(0, header+"1 log.retention.ms 5000 STATIC_BROKER_CONFIG would be changed", "set", "log.retention.ms=9000", "--dry-run")
	want(0, header+"1 log.retention.ms 9000 DYNAMIC_DEFAULT_BROKER_CONFIG OK", "set", "log.retention.ms=9000")
	want(0, header+"1 log.retention.ms 7000 DYNAMIC_BROKER_CONFIG OK", "set", "log.retention.ms=7000", "--broker", "1")
	want(0, header+"1 log.retention.ms 9000 DYNAMIC_DEFAULT_BROKER_CONFIG OK", "set", "-d", "log.retention.ms", "--broker", "1")
	want(0, header+"1 log.retention.ms 5000 STATIC_BROKER_CONFIG OK", "set", "-d", "log.retention.ms")
	want(1, header+"1 log.dirs "+dir+" STATIC_BROKER_CONFIG INVALID_REQUEST: Cannot update these configs dynamically: [log.dirs]", "set", "log.dirs=/elsewhere")
	want(1, "*", "get", "log.retension.ms")
	for _, args := range [][]string{{"set"}, {"set", "log.retention.ms"}, {"set", "-d", "a=b"}} {
		want(2, "*", args...)
	}
	var list []brokerSetting
	if r := pinionAt(t, b, "", "cluster", "config", "get", "-o", "json"); json.Unmarshal([]byte(r.out), &list) != nil || len(list) < 3 {
		t.Errorf("got %s", r.out)
	}
	for _, s := range list {
		if s.Source == "DEFAULT_CONFIG" || s.Broker != 1 || s.Value == nil {
			t.Errorf("listed %+v", s)
		}
	}
	count := len(list)
	if r := pinionAt(t, b, "", "cluster", "config", "get", "--all", "-o", "json"); json.Unmarshal([]byte(r.out), &list) != nil || len(list) < count+100 {
		t.Errorf("%d settings in all", len(list))
	}
	if r := pinionAt(t, b, "", "cluster", "config", "set", "max.connections=77", "-o", "json"); json.Unmarshal([]byte(r.out), &list) != nil || len(list) != 1 || *list[0].Value != "77" || list[0].Status != "OK" {
		t.Errorf("got %s", r.out)
	}
}
