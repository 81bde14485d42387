package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/engine/loggers"
)

func TestParseOffsets(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	at := func(text string) bound {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return bound{kind: boundTime, at: when.UTC()}
	}
	to := func(b bound) bound { b.given = true; return b }
	exact := func(n int64) bound { return bound{kind: boundExact, n: n} }
	start, end := bound{kind: boundStart}, bound{kind: boundEnd}
	for _, c := range []struct {
		text string
		want offsetRange
	}{
		{"start", offsetRange{from: start}}, {"end", offsetRange{from: end}}, {":end", offsetRange{start, to(end)}},
		{"7", offsetRange{from: exact(7)}}, {"+7", offsetRange{from: bound{kind: boundAfterStart, n: 7}}}, {"-7", offsetRange{from: bound{kind: boundBeforeEnd, n: 7}}},
		{"3:9", offsetRange{exact(3), to(exact(9))}}, {"3:", offsetRange{from: exact(3)}}, {":9", offsetRange{start, to(exact(9))}},
		{"+1:-1", offsetRange{bound{kind: boundAfterStart, n: 1}, to(bound{kind: boundBeforeEnd, n: 1})}},
		{"@1700000000000", offsetRange{from: at("2023-11-14T22:13:20Z")}}, {"@1700000000", offsetRange{from: at("2023-11-14T22:13:20Z")}},
		{"@2026-11-21", offsetRange{from: at("2026-11-21T00:00:00Z")}}, {"@2026-11-21T10:30:00Z", offsetRange{from: at("2026-11-21T10:30:00Z")}},
		{"@2026-11-21T10:30:00Z:2026-11-21T11:00:00+01:00", offsetRange{at("2026-11-21T10:30:00Z"), to(at("2026-11-21T10:00:00Z"))}},
		{"@-48h:-24h", offsetRange{at("2026-11-20T12:00:00Z"), to(at("2026-11-21T12:00:00Z"))}}, {"@-2d", offsetRange{from: at("2026-11-20T12:00:00Z")}},
		{"@:-1h", offsetRange{start, to(at("2026-11-22T11:00:00Z"))}}, {"@-1m:end", offsetRange{at("2026-11-22T11:59:00Z"), to(end)}}, {"@-1h:", offsetRange{from: at("2026-11-22T11:00:00Z")}},
	} {
		got, err := parseOffsets(c.text, now)
		got.from.at, got.stop.at = got.from.at.UTC(), got.stop.at.UTC()
		c.want.from.at, c.want.stop.at = c.want.from.at.UTC(), c.want.stop.at.UTC()
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.text, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "soon", "1:2:3", "@", "@:", "@x", "@1:2:3", "@--1h", "9223372036854775808", "1.5", "@-1x:end"} {
		if r, err := parseOffsets(bad, now); err == nil {
			t.Errorf("%q read as %+v", bad, r)
		}
	}
}

func TestLastLine(t *testing.T) {
	for _, c := range []struct{ in, want string }{{"", ""}, {"a", "a\n"}, {"a\n", "a\n"}, {"a\nb", "a\nb\n"}, {"\n", "\n"}} {
		for name, reader := range map[string]io.Reader{"whole": strings.NewReader(c.in), "bytes": iotest.OneByteReader(strings.NewReader(c.in)), "with EOF": iotest.DataErrReader(strings.NewReader(c.in))} {
			if got, err := io.ReadAll(iotest.OneByteReader(&lastLine{in: reader})); err != nil || string(got) != c.want {
				t.Errorf("%q by %s: %q, %v", c.in, name, got, err)
			}
			reader = strings.NewReader(c.in)
			if got, err := io.ReadAll(&lastLine{in: reader}); err != nil || string(got) != c.want {
				t.Errorf("%q: %q, %v", c.in, got, err)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(&lastLine{in: iotest.ErrReader(broken)}); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestJSONRecordSurvivesTheRoundTrip(t *testing.T) {
	for _, want := range []*kgo.Record{
		{Key: nil, Value: []byte("v"), Timestamp: time.UnixMilli(1700000000123)},
		{Key: []byte{}, Value: nil},
		{Value: []byte("of the first moment"), Timestamp: time.UnixMilli(0)},
		{Key: []byte{0xff, 0}, Value: []byte{0xfe}, Headers: []kgo.RecordHeader{{Key: "a", Value: nil}, {Key: "b", Value: []byte{0xff}}, {Key: "<c>", Value: []byte("&\n")}, {Key: "\xff", Value: []byte("d")}}},
	} {
		got, err := jsonSource(strings.NewReader(compactJSON(toJSON(want))))()
		if err != nil {
			t.Fatal(err)
		}
		same := bytes.Equal(got.Key, want.Key) && (got.Key == nil) == (want.Key == nil) && bytes.Equal(got.Value, want.Value) && (got.Value == nil) == (want.Value == nil) &&
			len(got.Headers) == len(want.Headers) && (want.Timestamp.IsZero() || got.Timestamp.Equal(want.Timestamp))
		for i := range want.Headers {
			same = same && got.Headers[i].Key == want.Headers[i].Key && bytes.Equal(got.Headers[i].Value, want.Headers[i].Value)
		}
		if !same {
			t.Errorf("%+v came back as %+v", want, got)
		}
	}
}

func TestJournalLines(t *testing.T) {
	var out bytes.Buffer
	logger := loggers.New(newJournalHandler(&out)).With("shard", 3)
	logger.Info("ready", "port", 9092)
	logger.WithGroup("g").Warn("slow", "level", "x")
	logger.Error("gone")
	logger.Debug("never")
	want := "<6>msg=ready shard=3 port=9092\n<4>msg=slow shard=3 g.level=x\n<3>msg=gone shard=3\n"
	if out.String() != want {
		t.Fatalf("got\n%s", out.String())
	}
}

func TestReadableEscapesWhatDisturbsATerminal(t *testing.T) {
	for _, c := range []struct {
		in   []byte
		want string
	}{{nil, "-"}, {[]byte{}, ""}, {[]byte("grüße\t1"), "grüße\t1"}, {[]byte("\x1b[2J"), `"\x1b[2J"`}, {[]byte{0xff}, `"\xff"`}} {
		if got := readable(c.in); got != c.want {
			t.Errorf("%q: %s", c.in, got)
		}
	}
}
