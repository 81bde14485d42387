package config

import (
	"strings"
	"testing"
)

// Cores as brokers need an id and a port each; what is in the way is said with the place and the way out.
func TestCoresNeedIDsAndPorts(t *testing.T) {
	const two = "\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT"
	for _, c := range []struct {
		text   string
		shards int
		want   string // empty: fine
	}{
		{"", 4, ""},
		{"listeners=PLAINTEXT://:65531", 4, ""},
		{"listeners=PLAINTEXT://:65532", 4, "f:2: listeners: PLAINTEXT://:65532: with pinion.advertise=core and 4 shards it takes ports 65532 to 65536, and 65535 is the last there is; choose a port up to 65531"},
		{"listeners=A://:9092,B://:9097" + two, 4, ""},
		{"listeners=A://:9092,B://:9096" + two, 4, "f:2: listeners: with pinion.advertise=core and 4 shards A://:9092 takes ports 9092 to 9096 and B://:9096 takes 9096 to 9100; leave 4 free behind each, as in B://:9097"},
		{"listeners=A://10.0.0.1:9092,B://10.0.0.2:9093" + two, 4, ""},
		{"listeners=A://10.0.0.1:9093,B://0.0.0.0:9092" + two, 1, "f:2: listeners: with pinion.advertise=core and 1 shard A://10.0.0.1:9093 takes ports 9093 to 9094 and B://0.0.0.0:9092 takes 9092 to 9093; leave 1 free behind each, as in B://0.0.0.0:9095"},
		{"listeners=A://:0,B://:0" + two, 1000, ""},
		{"listeners=A://:9092,CONTROLLER://:9093\nlistener.security.protocol.map=A:PLAINTEXT,CONTROLLER:PLAINTEXT\ncontroller.listener.names=CONTROLLER", 4, ""},
		{"listeners=PLAINTEXT://:0\nadvertised.listeners=PLAINTEXT://h:65535", 1, "f:3: advertised.listeners: PLAINTEXT://h:65535: with pinion.advertise=core and 1 shard it takes ports 65535 to 65536, and 65535 is the last there is; choose a port up to 65534"},
		{"listeners=A://:1000,B://:2000\nadvertised.listeners=A://h:9092,B://h:9094" + two, 2, "f:3: advertised.listeners: with pinion.advertise=core and 2 shards A://h:9092 takes ports 9092 to 9094 and B://h:9094 takes 9094 to 9096; leave 2 free behind each, as in B://h:9095"},
		{"listeners=A://:1000,B://:2000\nadvertised.listeners=A://h:9092,B://i:9094" + two, 2, ""},
		{"listeners=PLAINTEXT://:9643", 1, "pinion.admin = 127.0.0.1:9644: with pinion.advertise=core and 1 shard PLAINTEXT://:9643 takes ports 9643 to 9644; choose another port, as in 127.0.0.1:9645"},
		{"listeners=PLAINTEXT://10.0.0.1:9643", 1, ""},
		{"listeners=PLAINTEXT://:9643\npinion.admin=", 1, ""},
		{"node.id=2147482\npinion.admin=", 1000, ""},
		{"node.id=2147483", 1, "f:2: node.id: node id 2147483, at most 2147482: the id of a core is node id * 1000 + shard, in 32 bits; lower it, or set pinion.advertise=node"},
		{"", 1001, "pinion.shards: 1001 shards, at most 1000: the id of a core is node id * 1000 + shard; lower it, or set pinion.advertise=node"},
	} {
		b, _, err := Load(Input{File: "f", Text: []byte("pinion.advertise=core\n" + c.text)})
		if err != nil {
			t.Fatalf("%q: %v", c.text, err)
		}
		got := ""
		if err := b.CheckCores(c.shards); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q, %d shards\n got %s\nwant %s", c.text, c.shards, got, c.want)
		}
	}
}

// Where the number of shards is set, the configuration alone shows the mistake; with nodes as brokers it is none.
func TestCoresAreCheckedWithTheConfiguration(t *testing.T) {
	const text = "pinion.shards=1024\npinion.advertise="
	if _, _, err := Load(Input{File: "f", Text: []byte(text + "node")}); err != nil {
		t.Error(err)
	}
	_, _, err := Load(Input{File: "f", Text: []byte(text + "core")})
	if err == nil || !strings.HasPrefix(err.Error(), "f:1: pinion.shards: 1024 shards, at most 1000") {
		t.Errorf("got %v", err)
	}
}
