package config

import (
	"fmt"
	"sort"
	"strings"

	"github.com/magiconair/properties"
)

// Origin is where a setting came from; a larger one wins.
type Origin uint8

// The origins in order of precedence.
const (
	FromDefault Origin = iota
	FromFile
	FromKafkaEnv  // KAFKA_…, as the apache/kafka image maps it
	FromPinionEnv // PINION_…
	FromFlag      // --set
	FromCluster   // the dynamic default of all brokers
	FromBroker    // the dynamic setting of this one
)

// Setting is one key as somebody set it.
type Setting struct {
	Key    string
	Value  string // normalized
	Origin Origin
	Where  string // file:line, variable or flag
}

// gatherer collects settings from all sources together with what is wrong in them.
type gatherer struct {
	settings map[string]Setting
	order    []string // keys as first met, for notices in a stable order
	notices  []Notice
	problems Problems
	unknown  int // keys nobody knows, so far
}

// suggestionsMax bounds the search for near names: a file of another program may be nothing but unknown keys.
const suggestionsMax = 50

// gather reads the sources from the weakest to the strongest, so that a later setting replaces an earlier one.
func gather(in Input) *gatherer {
	g := &gatherer{settings: map[string]Setting{}}
	g.file(in.File, in.Text)
	g.environment(in.Env, "KAFKA_", FromKafkaEnv)
	g.environment(in.Env, "PINION_", FromPinionEnv)
	for _, set := range in.Sets {
		key, value, ok := strings.Cut(set, "=")
		key = strings.TrimSpace(key)
		if !ok || key == "" {
			g.problem("--set "+set, "", "want --set key=value")
			continue
		}
		g.add("--set "+key, key, value, FromFlag)
	}
	for _, key := range g.order {
		set := g.settings[key]
		if row, ok := LookupBroker(key); ok && !row.Effective() {
			g.notice(set.Where, key, key+" "+row.Idle())
		}
	}
	return g
}

func (g *gatherer) problem(where, key, text string) {
	g.problems = append(g.problems, Problem{Where: where, Key: key, Text: text})
}

func (g *gatherer) notice(where, key, text string) {
	g.notices = append(g.notices, Notice{Where: where, Key: key, Text: text})
}

// add takes one setting. A key nobody knows is a problem in what people write by hand.
func (g *gatherer) add(where, key, raw string, origin Origin) {
	row, ok := LookupBroker(key)
	if !ok {
		g.unknown++
		g.problem(where, key, unknownKey(key, g.unknown <= suggestionsMax))
		return
	}
	value, wrong := row.normalize(raw)
	if wrong != "" {
		shown := raw
		if row.Kind == KindPassword {
			shown = "…"
		}
		g.problem(where, key, fmt.Sprintf("%s = %q: %s; %s", key, shown, wrong, row.want()))
		return
	}
	if _, seen := g.settings[key]; !seen {
		g.order = append(g.order, key)
	}
	g.settings[key] = Setting{Key: key, Value: value, Origin: origin, Where: where}
}

func unknownKey(key string, search bool) string {
	text := fmt.Sprintf("unknown key %q", key)
	if !search {
		return text
	}
	if near := Suggest(key); near != "" {
		text += fmt.Sprintf(" - did you mean %q?", near)
	} else if _, ok := LookupTopic(key); ok {
		text += " (it is a topic's key; the broker's default has another name)"
	}
	return text
}

func (g *gatherer) file(name string, text []byte) {
	if name == "" {
		return
	}
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true} // Kafka does not expand ${…} either
	parsed, err := loader.LoadBytes(text)
	if err != nil {
		g.problem(name, "", fmt.Sprintf("not a properties file: %v", err))
		return
	}
	lines := keyLines(string(text))
	for _, key := range parsed.Keys() {
		value, _ := parsed.Get(key)
		where := name
		if at := lines[key]; len(at) > 0 {
			last := at[len(at)-1] // the last one wins, so it is the one to complain about
			where = fmt.Sprintf("%s:%d", name, last)
			if len(at) > 1 {
				g.notice(where, key, fmt.Sprintf("%s is set %d times, first in line %d; the last one counts", key, len(at), at[0]))
			}
		}
		g.add(where, key, value, FromFile)
	}
}

// environmentIgnored are names of other programs' scripts: the Kafka image's own (it excludes the same), and ours.
var environmentIgnored = map[string]bool{
	"KAFKA_VERSION": true, "KAFKA_HOME": true, "KAFKA_LOG4J_ROOT_LOGLEVEL": true, "KAFKA_LOG4J_LOGGERS": true,
	"KAFKA_TOOLS_LOG4J_LOGLEVEL": true, "KAFKA_JMX_HOSTNAME": true,
	"PINION_BROKERS": true,
}

// environment takes NAME=value pairs with the prefix. An unknown name is only a notice: container platforms put variables of
// their own under a service's name.
func (g *gatherer) environment(env []string, prefix string, origin Origin) {
	env = append([]string(nil), env...)
	sort.Strings(env)
	for _, pair := range env {
		name, value, ok := strings.Cut(pair, "=")
		rest, mine := strings.CutPrefix(name, prefix)
		if !ok || !mine || rest == "" || foreignVariable(name, value) {
			continue
		}
		key, ok := environmentKey(rest, origin)
		if !ok {
			text := fmt.Sprintf("names no key (%s) and is ignored", key)
			if g.unknown++; g.unknown <= suggestionsMax {
				if near := Suggest(key); near != "" {
					text += fmt.Sprintf(" - did you mean %q?", near)
				}
			}
			g.notice(name, key, text)
			continue
		}
		g.add(name, key, value, origin)
	}
}

func foreignVariable(name, value string) bool {
	return environmentIgnored[name] || strings.HasSuffix(name, "_OPTS") ||
		strings.HasPrefix(value, "tcp://") || strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_TCP")
}

// environmentKey maps LOG_DIRS to log.dirs with the rule of the apache/kafka image: "_" is ".", "__" is "_", "___" is "-". A
// PINION_ name may leave out the second pinion: PINION_SHARDS is pinion.shards.
func environmentKey(name string, origin Origin) (string, bool) {
	key := strings.ReplaceAll(strings.ToLower(name), "_", ".")
	key = strings.ReplaceAll(key, "...", "-")
	key = strings.ReplaceAll(key, "..", "_")
	if _, ok := LookupBroker(key); ok {
		return key, true
	}
	if origin == FromPinionEnv {
		if _, ok := LookupBroker("pinion." + key); ok {
			return "pinion." + key, true
		}
	}
	for row := range BrokerKeys() { // zookeeper.clientCnxnSocket is the reason for folding
		if strings.EqualFold(row.Name, key) {
			return row.Name, true
		}
	}
	return key, false
}
