package main

import (
	"encoding/json"
	"testing"

	"pinion/bench/harness"
)

// Quotas are set, listed and removed; mistakes have their exit codes.
func TestClusterQuotas(t *testing.T) {
	b := harness.Run(t, harness.Config{})
	want := func(code int, table string, args ...string) {
		t.Helper()
		if r := pinionAt(t, b, "", append([]string{"cluster", "quotas"}, args...)...); r.code != code || table != "*" && r.table() != table {
			t.Fatalf("%q: code %d, want %d\nout:\n%s\nwant:\n%s\nerr: %s", args, r.code, code, r.table(), table, r.err)
		}
	}
	const header = "USER CLIENT-ID KEY VALUE STATUS\n"
	want(0, header+"- loader producer_byte_rate 1048576 would be changed", "set", "producer_byte_rate=1048576", "--client-id", "loader", "--dry-run")
	want(0, "USER CLIENT-ID KEY VALUE STATUS", "list")
	want(0, header+"- loader producer_byte_rate 1048576 OK", "set", "producer_byte_rate=1048576", "--client-id", "loader")
	want(0, header+"<default> loader request_percentage 12.5 OK", "set", "request_percentage=12.5", "--client-id", "loader", "--user", "<default>")
	want(0, header+"<default> loader request_percentage 12.5 -\n- loader producer_byte_rate 1048576 -", "list")
	var list []listedQuota
	if r := pinionAt(t, b, "", "cluster", "quotas", "list", "-o", "json"); json.Unmarshal([]byte(r.out), &list) != nil || len(list) != 2 || *list[0].User != "<default>" || *list[1].Value != 1048576 {
		t.Errorf("got %s", r.out)
	}
	if r := pinionAt(t, b, "", "cluster", "quotas", "set", "consumer_byte_rate=5", "--user", "u", "-o", "json"); json.Unmarshal([]byte(r.out), &list) != nil || len(list) != 1 || *list[0].User != "u" || list[0].Client != nil || list[0].Status != "OK" {
		t.Errorf("got %s", r.out)
	}
	want(0, header+"- loader producer_byte_rate - OK", "set", "-d", "producer_byte_rate", "--client-id", "loader")
	want(1, header+"- loader no_such_rate 5 INVALID_REQUEST: Invalid configuration key no_such_rate", "set", "no_such_rate=5", "--client-id", "loader")
	for _, args := range [][]string{{"set", "--client-id", "loader"}, {"set", "producer_byte_rate=5"}, {"set", "producer_byte_rate=much", "--user", "u"}} {
		want(2, "*", args...)
	}
}
