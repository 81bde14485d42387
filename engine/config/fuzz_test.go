package config

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/magiconair/properties"
)

// The second scan must find a line for exactly the keys the library finds.
func FuzzKeyLines(f *testing.F) {
	for _, seed := range []string{stock, "a=b\\\n c\nd : e\n! x\n", "a\\=b=c\r\n\\u0041 x", "k\\", "a\\\nb=c", " \t\f=v", "a\\\r\nb=1", "a=1\rb=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		lines := keyLines(text) // must not panic on anything
		if !utf8.ValidString(text) {
			return
		}
		for _, c := range text { // the library splits lines at a bare CR and reads \u escapes beyond the BMP its own way
			if c == '\r' || c == 0 {
				return
			}
		}
		loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
		parsed, err := loader.LoadBytes([]byte(text))
		if err != nil {
			return
		}
		for _, key := range parsed.Keys() {
			if strings.ContainsRune(key, '\n') {
				continue // the library does not continue a line inside a key, as Java does; nobody writes that
			}
			if len(lines[key]) == 0 {
				t.Fatalf("no line for key %q in %q: %v", key, text, lines)
			}
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add(stock, "pinion.shards=2", "KAFKA_LOG_DIRS=/x")
	f.Add("listeners=A://[::1]:9,B://:0", "log.retention.ms=1w", "PINION_X=")
	// The tables are read once in a process. Done while fuzzing, that would make the first inputs interesting.
	if b, _, err := Load(Input{}); err == nil {
		b.Describe(nil)
		b.DescribeBroker()
	}
	f.Fuzz(func(t *testing.T, text, set, env string) {
		b, _, err := Load(Input{File: "f", Text: []byte(text), Sets: []string{set}, Env: []string{env}})
		if (b == nil) == (err == nil) {
			t.Fatalf("broker %v, error %v", b, err)
		}
		if b == nil {
			return
		}
		if len(b.Listeners) == 0 || len(b.Listeners) != len(b.Advertised) || len(b.LogDirs) == 0 || b.NodeID < 0 || b.NumPartitions < 1 {
			t.Fatalf("incomplete: %+v", b)
		}
		b.Describe(nil)
		b.DescribeBroker()
	})
}

func FuzzTopic(f *testing.F) {
	f.Add("cleanup.policy", "compact,delete")
	f.Add("internal.segment.bytes", "14")
	f.Fuzz(func(t *testing.T, key, value string) {
		topic, err := Default().Topic(map[string]string{key: value})
		if err == nil && (topic.SegmentBytes < 14 || topic.MaxMessageBytes < 0 || topic.MinInsyncReplicas < 1) {
			t.Fatalf("%s=%q gives %+v", key, value, topic)
		}
	})
}
