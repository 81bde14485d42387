package config

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

func load(t *testing.T, text string, sets ...string) (*Broker, []Notice) {
	t.Helper()
	b, notices, err := Load(Input{File: "server.properties", Text: []byte(text), Sets: sets})
	if err != nil {
		t.Fatal(err)
	}
	return b, notices
}

func TestDefault(t *testing.T) {
	b := Default()
	want := Listener{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "127.0.0.1", Port: 9092}
	if b.NodeID != 1 || len(b.Listeners) != 1 || b.Listeners[0] != want || b.Advertised[0] != want || b.InterBrokerListener != "PLAINTEXT" {
		t.Fatalf("node %d, listeners %v, advertised %v", b.NodeID, b.Listeners, b.Advertised)
	}
	if b.LogDirs[0] != "./pinion-data" || !b.AutoCreateTopics || !b.DeleteTopics || b.NumPartitions != 1 || b.DefaultReplicationFactor != 1 {
		t.Fatalf("%+v", b)
	}
	if b.ConnectionsIdleMax != 10*time.Minute || b.SocketRequestBytesMax != 100<<20 || b.FetchBytesMax != 55<<20 || b.FetchSessionSlots != 1000 {
		t.Fatalf("%+v", b)
	}
	if b.Pinion.Admin != "127.0.0.1:9644" || b.Pinion.Durability != DurabilityFsync || b.Pinion.Advertise != "node" {
		t.Fatalf("%+v", b.Pinion)
	}
	if int64(b.SocketRequestBytesMax) > b.Pinion.RequestBytes {
		t.Fatal("the largest request does not fit the default budget")
	}
}

// The table is data; these are the relations no compiler checks.
func TestEveryEffectiveKeyChangesSomething(t *testing.T) {
	special := map[string]string{
		"listeners": "PLAINTEXT://:9", "advertised.listeners": "PLAINTEXT://h:9", "log.dirs": "/a", "log.dir": "/a", "broker.rack": "r",
		"max.connections.per.ip.overrides": "::1:7", "log.cleanup.policy": "compact", "compression.type": "zstd", "pinion.admin": ":1",
		"log.message.timestamp.type": "LogAppendTime", "broker.id": "7",
		"log.cleaner.min.cleanable.ratio": "0.7", "cordoned.log.dirs": "*",
	}
	// Keys that only say what listeners mean, or whose other values are refused.
	checked := map[string]bool{
		"listener.security.protocol.map": true, "inter.broker.listener.name": true, "security.inter.broker.protocol": true,
		"controller.listener.names": true, "process.roles": true, "authorizer.class.name": true, "pinion.advertise": true, "pinion.durability": true,
	}
	plain := Default()
	for row := range BrokerKeys() {
		if !row.Effective() || checked[row.Name] {
			continue
		}
		value, ok := special[row.Name]
		switch {
		case ok:
		case row.Kind == KindBool:
			value = map[string]string{"true": "false", "false": "true"}[row.Default]
		case row.Default == "17" || row.Name == "compression.lz4.level":
			value = "5"
		case strings.HasPrefix(row.Name, "compression."):
			value = "7"
		default:
			value = "2097153"
			if _, upper := row.bounds(); upper < 2097153 {
				value = "7"
			}
			if row.Name == "pinion.memory.request.bytes" {
				value = "300000001"
			}
		}
		b, _, err := Load(Input{Sets: []string{row.Name + "=" + value}})
		if err != nil {
			t.Errorf("%s=%s: %v", row.Name, value, err)
			continue
		}
		b.settings, plain.settings = nil, nil
		if reflect.DeepEqual(b, plain) {
			t.Errorf("%s=%s is said to have an effect and changes nothing", row.Name, value)
		}
	}
}

func TestTableKnowsKafka(t *testing.T) {
	count := 0
	for row := range BrokerKeys() {
		count++
		if row.HasDefault && row.Effective() {
			if value, wrong := row.normalize(row.Default); wrong != "" || value != row.Default {
				t.Errorf("default of %s: %q, %s", row.Name, value, wrong)
			}
		}
		if row.Effective() == (row.Idle() != "") {
			t.Errorf("%s: effective %v, but %q", row.Name, row.Effective(), row.Idle())
		}
	}
	if count < 460 { // 360 of Kafka 4.3.1, and all that was removed; a smaller table lost something
		t.Errorf("only %d keys", count)
	}
	for _, name := range []string{"zookeeper.connect", "log.message.format.version", "inter.broker.protocol.version", "broker.id", "num.network.threads",
		"listener.name.internal.ssl.keystore.location", "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config", "rsm.config.bucket", "zookeeper.clientCnxnSocket",
		"group.consumer.assignment.interval.ms", "num.replica.alter.log.dirs.threads", "super.users", "host.name", "listener.name.x.max.connections"} {
		if row, ok := LookupBroker(name); !ok {
			t.Errorf("%s is not known", name)
		} else if row.Idle() == "" && name != "broker.id" {
			t.Errorf("%s is said to have an effect", name)
		}
	}
	for _, name := range []string{"listener.name.x.bogus", "listener.name.x", "rsm.config.", "retention.ms", ""} {
		if _, ok := LookupBroker(name); ok {
			t.Errorf("%q is known", name)
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	text := `# a comment with key = value
node.id=3
log.retension.hours=5

message.max.bytes = 10mb
log.retention.ms=\
   abc
num.partitions=0
auto.create.topics.enable=yes
listeners=SSL://:9093,nonsense
retention.ms=5
`
	_, _, err := Load(Input{File: "server.properties", Text: []byte(text), Sets: []string{"nope", "log.dris=/x", "log.roll.hours=90m"}})
	problems, ok := err.(Problems)
	if !ok {
		t.Fatalf("got %v", err)
	}
	want := []string{
		`server.properties:3: unknown key "log.retension.hours" - did you mean "log.retention.hours"?`,
		`server.properties:5: message.max.bytes = "10mb": 10mb is not a size (use 10MiB or 10485760); want int in bytes, 0 or more; default 1048588`,
		`server.properties:6: log.retention.ms = "abc": "abc" is not a duration (use 7d, 12h, 30m, 45s, 500ms or a number of milliseconds); want long in milliseconds, -1 or more`,
		`server.properties:8: num.partitions = "0": 0 is out of range; want int, 1 or more; default 1`,
		`server.properties:9: auto.create.topics.enable = "yes": "yes" is neither true nor false; want true or false; default true`,
		`server.properties:11: unknown key "retention.ms" (it is a topic's key; the broker's default has another name)`,
		`--set nope: want --set key=value`,
		`--set log.dris: unknown key "log.dris" - did you mean "log.dirs"?`,
		`--set log.roll.hours: log.roll.hours = "90m": 90m is not a whole number of hours; want int in hours, 1 or more; default 168`,
		`server.properties:10: listeners: "nonsense" is not NAME://host:port, as in PLAINTEXT://:9092 or PLAINTEXT://[::1]:9092`,
		`server.properties:10: listeners: SSL://:9093 uses SSL; only PLAINTEXT is served yet`,
	}
	if got := problems.Error(); got != strings.Join(want, "\n") {
		t.Fatalf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	if problems.Count() != "11 errors" {
		t.Fatal(problems.Count())
	}
}

func TestPrecedence(t *testing.T) {
	in := Input{File: "f", Text: []byte("num.partitions=2\nlog.dirs=/file\nbroker.rack=file\nfetch.max.bytes=1MiB\n"),
		Env:  []string{"PINION_LOG_DIRS=/pinion", "KAFKA_LOG_DIRS=/kafka", "KAFKA_BROKER_RACK=kafka", "KAFKA_NUM_PARTITIONS=3", "PINION_SHARDS=4", "HOME=/"},
		Sets: []string{"num.partitions=5", "num.partitions=6"}}
	b, notices, err := Load(in)
	if err != nil {
		t.Fatal(err)
	}
	if b.NumPartitions != 6 || b.LogDirs[0] != "/pinion" || b.Rack != "kafka" || b.FetchBytesMax != 1<<20 || b.Pinion.Shards != 4 {
		t.Fatalf("partitions %d, dirs %v, rack %s, fetch %d, shards %d", b.NumPartitions, b.LogDirs, b.Rack, b.FetchBytesMax, b.Pinion.Shards)
	}
	for _, n := range notices {
		if n.Key != "listeners" {
			t.Errorf("unexpected notice %s", n)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct{ pair, key, notice string }{
		{"KAFKA_ZOOKEEPER_CLIENTCNXNSOCKET=x", "zookeeper.clientCnxnSocket", "has no effect"},
		{"KAFKA_LISTENER_NAME_A__B_SSL_KEY_PASSWORD=x", "listener.name.a_b.ssl.key.password", "has no effect"},
		{"KAFKA_LISTENER_NAME_A_SCRAM___SHA___256_SASL_JAAS_CONFIG=x", "listener.name.a.scram-sha-256.sasl.jaas.config", "has no effect"},
		{"KAFKA_LOG_DRIS=/x", "log.dris", `did you mean "log.dirs"?`},
		{"KAFKA_PORT=tcp://10.0.0.1:9092", "", ""},
		{"KAFKA_HEAP_OPTS=-Xmx1g", "", ""},
		{"PINION_BROKERS=h:1", "", ""},
		{"PINION_SERVICE_HOST=10.0.0.1", "", ""},
		{"KAFKA_=x", "", ""},
	} {
		b, notices, err := Load(Input{Env: []string{c.pair}})
		if err != nil {
			t.Errorf("%s: %v", c.pair, err)
			continue
		}
		var found string
		for _, n := range notices {
			if n.Key != "listeners" {
				found += n.Key + " " + n.Text
			}
		}
		if c.key == "" && (found != "" || len(b.settings) > 0) || c.key != "" && (!strings.HasPrefix(found, c.key+" ") || !strings.Contains(found, c.notice)) {
			t.Errorf("%s: notices %q, settings %v", c.pair, found, b.settings)
		}
	}
}

// Kafka's own server.properties of 4.x, without its comments.
const stock = `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`

func TestStockKafkaFileStarts(t *testing.T) {
	b, notices := load(t, stock)
	if len(b.Listeners) != 1 || b.Listeners[0].String() != "PLAINTEXT://:9092" || b.Advertised[0].String() != "PLAINTEXT://localhost:9092" {
		t.Fatalf("listeners %v, advertised %v", b.Listeners, b.Advertised)
	}
	seen := map[string]int{}
	for _, n := range notices {
		seen[n.Key]++
		if n.Where == "" {
			t.Errorf("no place: %s", n)
		}
	}
	for _, key := range []string{"num.network.threads", "num.io.threads", "controller.quorum.bootstrap.servers", "listeners", "transaction.state.log.min.isr"} {
		if seen[key] != 1 {
			t.Errorf("%d notices about %s, want one: %v", seen[key], key, notices)
		}
	}
	if len(notices) != 8 {
		t.Errorf("%d notices: %v", len(notices), notices)
	}
}

func TestConflicts(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"node.id=1\nbroker.id=2", "f:2: broker.id = 2 and node.id = 1 differ; they are the same setting"},
		{"node.id=-1", `f:1: node.id = "-1": -1 is out of range; want int, 0 or more; default 1`},
		{"pinion.admin=9644", `f:1: pinion.admin = "9644": want host:port, or nothing to turn it off; default 127.0.0.1:9644`},
		{"process.roles=controller", "f:1: process.roles = controller: a node without the broker role is not available; every pinion node is both"},
		{"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "f:1: authorizer.class.name = org.apache.kafka.metadata.authorizer.StandardAuthorizer: access control is not available yet; remove the key to let every client do everything"},
		{"log.dirs=", "f:1: log.dirs names no directory"},
		{"log.dirs=/a,,/b", "f:1: log.dirs names no directory"},
		{"listeners=", "f:1: listeners names no listener for clients"},
		{"listeners=A://:1", "f:1: listeners: no security protocol is defined for listener A; add it to listener.security.protocol.map"},
		{"listeners=PLAINTEXT://:1,PLAINTEXT://:2", "f:1: listeners: PLAINTEXT is there twice; each listener must have a different name"},
		{"listeners=PLAINTEXT://:1,A://:1\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,A:PLAINTEXT", "f:1: listeners: PLAINTEXT://:1 and A://:1 are the same address"},
		{"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,B:TLS", `f:1: listener.security.protocol.map: "B:TLS" is not NAME:PROTOCOL with PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL`},
		{"advertised.listeners=PLAINTEXT://0.0.0.0:9092", "f:1: advertised.listeners: PLAINTEXT://0.0.0.0:9092 cannot be reached by anyone; use a name or address of this machine"},
		{"advertised.listeners=OTHER://h:9092", "f:1: advertised.listeners: OTHER is not among listeners"},
		{"inter.broker.listener.name=X", "f:1: inter.broker.listener.name = X is not among listeners"},
		{"max.connections.per.ip.overrides=a:1,b", `f:1: max.connections.per.ip.overrides: "b" is not host:limit, as in 127.0.0.1:200,client.example.net:100`},
		{"pinion.memory.request.bytes=1MiB", "f:1: pinion.memory.request.bytes = 1048576 is less than socket.request.max.bytes = 104857600: the largest request could never be read"},
		{"log.cleaner.min.compaction.lag.ms=10\nlog.cleaner.max.compaction.lag.ms=5", "f:1: log.cleaner.min.compaction.lag.ms = 10 is more than log.cleaner.max.compaction.lag.ms = 5"},
		{"log.roll.ms=0", `f:1: log.roll.ms = "0": 0 is out of range; want long in milliseconds, 1 or more`},
		{"log.roll.jitter.ms=-1", `f:1: log.roll.jitter.ms = "-1": -1 is out of range; want long in milliseconds, 0 or more`},
		{"log.cleanup.policy=delete,shred", `f:1: log.cleanup.policy = "delete,shred": "shred" is not one of compact, delete; want a list of compact, delete; default delete`},
	} {
		_, _, err := Load(Input{File: "f", Text: []byte(c.text)})
		if err == nil || err.Error() != c.want {
			t.Errorf("%q\n got %v\nwant %s", c.text, err, c.want)
		}
	}
}

func TestListeners(t *testing.T) {
	b, _ := load(t, "listeners=plaintext://0.0.0.0:9092, INSIDE://[::1]:0 ,OUT://host-1.example.net:65535\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,INSIDE:plaintext,OUT:PLAINTEXT\n"+
		"advertised.listeners=OUT://kafka.example.net:19092\ninter.broker.listener.name=inside")
	want := []Listener{{"PLAINTEXT", "PLAINTEXT", "0.0.0.0", 9092}, {"INSIDE", "PLAINTEXT", "::1", 0}, {"OUT", "PLAINTEXT", "host-1.example.net", 65535}}
	if !reflect.DeepEqual(b.Listeners, want) {
		t.Fatalf("listeners %v", b.Listeners)
	}
	want[0].Host, want[2].Host, want[2].Port = "", "kafka.example.net", 19092
	if !reflect.DeepEqual(b.Advertised, want) || b.InterBrokerListener != "INSIDE" {
		t.Fatalf("advertised %v, inter-broker %s", b.Advertised, b.InterBrokerListener)
	}
	if got := b.Listeners[1].String(); got != "INSIDE://[::1]:0" {
		t.Fatal(got)
	}
	for _, bad := range []string{"", "PLAINTEXT", "PLAINTEXT://", "PLAINTEXT://h", "PLAINTEXT://h:", "PLAINTEXT://h:65536", "PLAINTEXT://h:-1", "://h:1", "A://[h]:1", "A://[::1:1", "A://::1]:1", "A://a/b:1", "A://[1.2.3.4]:1"} {
		if l, ok := parseListener(bad); ok {
			t.Errorf("%q read as %v", bad, l)
		}
	}
}

func TestLiterals(t *testing.T) {
	for _, c := range []struct {
		key, value, want string // want empty: refused
	}{
		{"message.max.bytes", "10MiB", "10485760"}, {"message.max.bytes", "10 KiB", "10240"}, {"message.max.bytes", " 7B ", "7"},
		{"message.max.bytes", "2GiB", ""}, {"message.max.bytes", "10MB", ""}, {"message.max.bytes", "10M", ""}, {"message.max.bytes", "-1KiB", ""}, {"message.max.bytes", "1.5MiB", ""},
		{"log.retention.bytes", "8388607TiB", "9223370937343148032"}, {"log.retention.bytes", "8388608TiB", ""}, {"log.retention.bytes", "-1", "-1"},
		{"log.retention.ms", "7d", "604800000"}, {"log.retention.ms", "1w2d3h4m5s6ms", "788645006"}, {"log.retention.ms", "7D", ""}, {"log.retention.ms", "d", ""}, {"log.retention.ms", "1", "1"},
		{"log.retention.hours", "2d", "48"}, {"log.retention.hours", "90m", ""}, {"log.retention.ms", "999999999999w", ""}, {"log.retention.ms", "99999999999999999999d", ""}, {"log.retention.ms", "", ""},
		{"num.partitions", "7d", ""}, {"num.partitions", "2147483648", ""}, {"num.partitions", "007", "7"},
		{"log.cleaner.min.cleanable.ratio", "0.7", "0.7"}, {"log.cleaner.min.cleanable.ratio", "1.1", ""}, {"log.cleaner.min.cleanable.ratio", "NaN", ""},
	} {
		row, ok := LookupBroker(c.key)
		if !ok {
			t.Fatal(c.key)
		}
		got, wrong := row.normalize(c.value)
		if got != c.want || (wrong == "") != (c.want != "") {
			t.Errorf("%s=%q: %q, %s; want %q", c.key, c.value, got, wrong, c.want)
		}
	}
	for _, c := range []struct{ value, hint string }{{"10mb", "use 10MiB or 10485760"}, {"4k", "use 4KiB or 4096"}, {"3 GB", "use 3GiB or 3221225472"}, {"x", "use 10MiB or 10485760"}, {"9999999999g", "use 10MiB"}} {
		if _, wrong := parseSize(c.value); !strings.Contains(wrong, c.hint) {
			t.Errorf("%s: %s", c.value, wrong)
		}
	}
}

func TestDurationsThatDoNotFit(t *testing.T) {
	b, _ := load(t, "connections.max.idle.ms=9223372036854775807\nlog.retention.hours=2147483647\nlog.roll.hours=2147483647\noffsets.retention.minutes=2147483647")
	if b.Groups.Retention < 290*365*24*time.Hour {
		t.Errorf("offsets are kept for %v", b.Groups.Retention)
	}
	if b.ConnectionsIdleMax < 290*365*24*time.Hour {
		t.Errorf("idle %v", b.ConnectionsIdleMax)
	}
	if topic, _ := b.Topic(nil); topic.RetentionMs != 2147483647*3600000 {
		t.Errorf("retention %d", topic.RetentionMs)
	}
	if got := (synonym{"log.retention.hours", math.MaxInt64 / 2}).convert("3"); got != "9223372036854775807" {
		t.Errorf("overflow gives %s", got)
	}
}

func TestRepeatedKey(t *testing.T) {
	b, notices := load(t, "listeners=PLAINTEXT://:1\nnum.partitions=2\nnum.partitions : 3\n")
	if b.NumPartitions != 3 || len(notices) != 1 || notices[0].String() != "server.properties:3: num.partitions is set 2 times, first in line 2; the last one counts" {
		t.Fatalf("%d, %v", b.NumPartitions, notices)
	}
}

func TestSuggest(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"log.retension.hours", "log.retention.hours"}, {"Log.Dirs", "log.dirs"}, {"nodeid", "node.id"}, {"advertised.listener", "advertised.listeners"},
		{"completely.different.key.of.mine", ""}, {strings.Repeat("x", 1000), ""}, {"", ""},
	} {
		if got := Suggest(c.name); got != c.want {
			t.Errorf("%.40s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := Nearest("ordrs", []string{"invoices", "orders", "order-s"}); got != "orders" {
		t.Error(got)
	}
}

func TestLargeForeignFileIsRefusedSoon(t *testing.T) {
	var text strings.Builder
	for i := range 20_000 {
		text.WriteString("some.unknown.key.number." + strconv.Itoa(i) + "=1\n")
	}
	start := time.Now()
	_, _, err := Load(Input{File: "f", Text: []byte(text.String())})
	if problems, ok := err.(Problems); !ok || len(problems) != 20_000 {
		t.Fatal("not every key was reported")
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Fatalf("took %v", took)
	}
}

// Only log directories that there are can be cordoned, or all of them.
func TestCordonedLogDirs(t *testing.T) {
	for value, want := range map[string]string{"": "", "/b": "/b", "/b,/a": "/b,/a", "*": "/a,/b", "/c": "refused", "/a,/c": "refused", "*,/a": "refused"} {
		b, _, err := Load(Input{Sets: []string{"log.dirs=/a,/b", "cordoned.log.dirs=" + value}})
		got := "refused"
		if err == nil {
			got = strings.Join(b.Cordoned, ",")
		}
		if got != want {
			t.Errorf("%q: %s, want %s (%v)", value, got, want, err)
		}
	}
}
