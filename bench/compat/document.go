package compat

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pinion/bench/versus"
	"pinion/engine/config"
	"pinion/net/kafka/wire"
)

// Document makes docs/compatibility.md. root is the folder of the module.
func Document(root string) ([]byte, error) {
	var out bytes.Buffer
	kafka, err := kafkaVersion.pinned(root)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "<!-- Made by `make docs` from the code; do not edit. -->\n# Compatibility\n\n"+
		"What of the Kafka protocol Pinion serves, who has exercised it, and where its answers differ from those of Apache Kafka %s on purpose.\n\n", kafka)
	writeKeys(&out, kafka)
	if err := writeClients(&out, root); err != nil {
		return nil, err
	}
	writeDifferences(&out, kafka)
	writeConfigs(&out)
	return out.Bytes(), nil
}

func writeKeys(out *bytes.Buffer, kafka string) {
	fmt.Fprintf(out, "## Keys and versions\n\nA version is advertised only when a test has exercised it. Two do, and both read what they exercised off the wire:\n\n")
	for i := range Claims {
		fmt.Fprintf(out, "- **%s**: %s.\n", Claims[i].Who, Claims[i].Test)
	}
	fmt.Fprintf(out, "\nThe first does the key's real work with a client held to the version. The second (`make versus-kafka`) sends right and wrong requests of the\n"+
		"version to Apache Kafka %s and to Pinion and compares the answers.\n\n| key | name | advertised | served |", kafka)
	for i := range Claims {
		fmt.Fprintf(out, " %s |", Claims[i].Who)
	}
	fmt.Fprintf(out, "\n|---|---|---|---|%s\n", strings.Repeat("---|", len(Claims)))
	for i := range wire.Keys {
		k := &wire.Keys[i]
		fmt.Fprintf(out, "| %d | %s | %s | %s |", k.Key, k.Name, between(k.AdvertiseMin, k.Max), between(k.Min, k.Max))
		for j := range Claims {
			fmt.Fprintf(out, " %s |", Claims[j].of(k.Key))
		}
		out.WriteString("\n")
	}
	out.WriteString("\nVersions that are advertised and not served close the connection, as in Kafka: older librdkafka turns compression off where Produce\ndoes not begin at 0.\n\n")
}

// of lists what the claim says of a key.
func (c *Claim) of(key int16) string {
	var parts []string
	for _, r := range c.Holds {
		if r.Key == key {
			parts = append(parts, between(r.From, r.To))
		}
	}
	return strings.Join(parts, ", ")
}

func between(from, to int16) string {
	if from == to {
		return fmt.Sprint(from)
	}
	return fmt.Sprintf("%d-%d", from, to)
}

func writeClients(out *bytes.Buffer, root string) error {
	out.WriteString("## Clients\n\nEach speaks the versions it chooses itself.\n\n| client | language | version | where |\n|---|---|---|---|\n")
	for i := range clients {
		c := &clients[i]
		version, err := c.pinned(root)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", c.name, c.language, version, c.tests)
	}
	out.WriteString("\n")
	return nil
}

func writeDifferences(out *bytes.Buffer, kafka string) {
	fmt.Fprintf(out, "## Intended differences from Apache Kafka %s\n\nAnything that is not here and differs fails `make versus-kafka`, and so does anything that is here and does not.\n\n", kafka)
	for i := range versus.Intended {
		d := &versus.Intended[i]
		fmt.Fprintf(out, "- **%s** %s %s\n", d.What, d.Why, keyNames(d.Keys))
	}
	out.WriteString("\n")
}

func keyNames(keys []int16) string {
	if keys == nil {
		return "(any key)"
	}
	var names []string
	for _, key := range keys {
		names = append(names, wire.Lookup(key).Name)
	}
	return "(" + strings.Join(names, ", ") + ")"
}

func writeConfigs(out *bytes.Buffer) {
	out.WriteString("## Configuration keys\n\nEvery key Kafka ever defined is accepted. These have an effect; all others say, when they are set, why not.\n\n### Topics\n\n" +
		"| key | default | |\n|---|---|---|\n")
	for key := range config.TopicKeys() {
		what := "has an effect"
		if !key.Effective() {
			what = key.Idle()
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", key.Name, value(key), what)
	}
	out.WriteString("\n### Brokers\n\n| key | default |\n|---|---|\n")
	idle := map[string][]string{}
	for key := range config.BrokerKeys() {
		if key.Effective() {
			fmt.Fprintf(out, "| `%s` | %s |\n", key.Name, value(key))
			continue
		}
		reason, _, _ := strings.Cut(key.Idle(), "; set ")
		idle[reason] = append(idle[reason], key.Name)
	}
	out.WriteString("\nWithout effect:\n\n")
	for _, reason := range slices.Sorted(maps.Keys(idle)) {
		fmt.Fprintf(out, "- %s: %d keys\n", strings.TrimPrefix(reason, "has no effect: "), len(idle[reason]))
	}
}

func value(key *config.Key) string {
	if !key.HasDefault || key.Default == "" {
		return ""
	}
	return "`" + key.Default + "`"
}
