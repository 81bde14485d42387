package identity

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/magiconair/properties"

	"pinion/engine/model"
)

// The keys of meta.properties. The first four are Kafka's.
const (
	keyVersion   = "version"
	keyCluster   = "cluster.id"
	keyNode      = "node.id"
	keyDirectory = "directory.id"
	keyFormat    = "pinion.format"
)

// metaVersion is Kafka's number for the layout with node.id; 0 was ZooKeeper's, with broker.id.
const metaVersion = "1"

// meta is a parsed file. Keys nobody here knows are kept, because a later Kafka may have written them.
type meta struct {
	Identity
	other map[string]string
}

// parseMeta reads the file; the second result says why it cannot be used.
func parseMeta(data []byte) (meta, string) {
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true, IgnoreMissing: true}
	parsed, err := loader.LoadBytes(data)
	if err != nil {
		return meta{}, fmt.Sprintf("damaged: %v", err)
	}
	m := meta{other: map[string]string{}}
	for key, value := range parsed.Map() {
		m.other[key] = value
	}
	take := func(key string) string {
		value := m.other[key]
		delete(m.other, key)
		return value
	}
	switch version := take(keyVersion); version {
	case metaVersion:
	case "0":
		return meta{}, "version 0 belongs to a Kafka broker under ZooKeeper; migrate it to KRaft first"
	case "":
		return meta{}, "damaged: there is no version"
	default:
		return meta{}, fmt.Sprintf("version %s is newer than this program knows", version)
	}
	node, err := strconv.ParseInt(take(keyNode), 10, 32)
	if err != nil || node < 0 {
		return meta{}, "damaged: node.id is missing or no number"
	}
	m.Node = model.NodeID(node)
	if m.Cluster = take(keyCluster); m.Cluster == "" {
		return meta{}, "damaged: there is no cluster.id"
	}
	m.Directory = take(keyDirectory)
	format := take(keyFormat)
	if format == "" {
		return m, ""
	}
	n, err := strconv.ParseInt(format, 10, 32)
	if err != nil || n < 1 {
		return meta{}, fmt.Sprintf("damaged: pinion.format is %q", format)
	}
	m.Format = int32(n)
	if m.Directory == "" {
		return meta{}, "damaged: there is no directory.id"
	}
	return m, ""
}

// newer says why a directory cannot be read; empty when it can.
func (m *meta) newer() string {
	if m.Format <= Format {
		return ""
	}
	return fmt.Sprintf("was written by a newer pinion (format %d, this one knows up to %d); use that version again", m.Format, Format)
}

// mismatch says why a directory is not the one the caller wants; empty when it is.
func (m *meta) mismatch(want Want) string {
	if text := m.newer(); text != "" {
		return text
	}
	switch {
	case m.Node != want.Node:
		return fmt.Sprintf("belongs to node %d, but node.id is %d; check node.id and log.dirs", m.Node, want.Node)
	case want.Cluster != "" && m.Cluster != want.Cluster:
		return fmt.Sprintf("belongs to cluster %s, not %s; check log.dirs", m.Cluster, want.Cluster)
	}
	return ""
}

// append writes the file in order of key.
func (m *meta) append(b []byte) []byte {
	lines := []string{
		keyVersion + "=" + metaVersion,
		keyCluster + "=" + escape(m.Cluster),
		keyNode + "=" + strconv.Itoa(int(m.Node)),
		keyDirectory + "=" + escape(m.Directory),
		keyFormat + "=" + strconv.Itoa(int(m.Format)),
	}
	for key, value := range m.other {
		lines = append(lines, escape(key)+"="+escape(value))
	}
	sort.Strings(lines)
	b = append(b, "# Whose this directory is. Do not edit or copy.\n"...)
	return append(b, strings.Join(lines, "\n")+"\n"...)
}

// escape protects what java.util.Properties would read as syntax.
var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`, " ", `\ `, "=", `\=`, ":", `\:`, "#", `\#`, "!", `\!`).Replace

// NewID makes a random id in Kafka's form: 16 bytes in URL-safe base64, 22 characters, a version-4 UUID inside. It never begins
// with '-', which command lines would take for an option.
func NewID(random io.Reader) (string, error) {
	var raw [16]byte
	for range 100 { // one in 64 begins with '-'
		if _, err := io.ReadFull(random, raw[:]); err != nil {
			return "", fmt.Errorf("make an id: %w", err)
		}
		raw[6] = raw[6]&0x0f | 0x40
		raw[8] = raw[8]&0x3f | 0x80
		if id := base64.RawURLEncoding.EncodeToString(raw[:]); id[0] != '-' {
			return id, nil
		}
	}
	return "", errRandom
}

var errRandom = errors.New("make an id: the random source repeats itself")
