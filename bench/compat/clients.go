package compat

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// client is a library or tool of somebody else's that the tests use.
type client struct {
	name, language string
	file           string         // that pins its version, from the root of the module; empty where nothing does
	version        *regexp.Regexp // finds it there
	tests          string
}

const (
	inFamilies = "`bench/families`: sends, reads what others sent, shares groups with others and keeps its own, administers topics and groups"
	inPinion   = "`cmd/pinion`: sends, reads, restarts, deleted and recreated topics"
)

var clients = []client{
	{"franz-go", "Go", "go.mod", regexp.MustCompile(`twmb/franz-go (v\S+)`), "`cmd/pinion`: every advertised version; `bench/demo`; `bench/families`: keeps groups and administers them"},
	{"librdkafka, by kcat", "C", "", nil, inPinion + "; `bench/demo`"},
	{"librdkafka, by confluent-kafka", "Python", "bench/families/python/requirements.txt", regexp.MustCompile(`confluent-kafka==(\S+)`), inFamilies},
	{"aiokafka", "Python", "bench/families/python/requirements.txt", regexp.MustCompile(`aiokafka==(\S+)`), inFamilies},
	{"kafka-python", "Python", "bench/families/python/requirements.txt", regexp.MustCompile(`kafka-python==(\S+)`), inFamilies},
	{"kafkajs", "JavaScript", "bench/families/node/package.json", regexp.MustCompile(`"kafkajs": "([^"]+)"`), inFamilies},
	{"sarama", "Go", "bench/families/golang/go.mod", regexp.MustCompile(`IBM/sarama (v\S+)`), inFamilies},
	{"kafka-go", "Go", "bench/families/golang/go.mod", regexp.MustCompile(`segmentio/kafka-go (v\S+)`), inFamilies},
	{"Apache Kafka's Java client", "Java", "bench/families/java/pom.xml", regexp.MustCompile(`kafka-clients</artifactId>\s*<version>([^<]+)`), inFamilies},
}

// kafkaVersion is that of the broker the answers are compared with.
var kafkaVersion = client{name: "Apache Kafka", file: "bench/peer/pom.xml", version: regexp.MustCompile(`kafka_2.13</artifactId>\s*<version>([^<]+)`)}

// pinned reads the version from the file that pins it.
func (c *client) pinned(root string) (string, error) {
	if c.file == "" {
		return "the distribution's", nil
	}
	text, err := os.ReadFile(filepath.Join(root, c.file))
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", c.name, err)
	}
	found := c.version.FindSubmatch(text)
	if found == nil {
		return "", fmt.Errorf("version of %s: %s does not name it", c.name, c.file)
	}
	return string(found[1]), nil
}
