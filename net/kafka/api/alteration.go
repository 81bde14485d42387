package api

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// alteration is one resource of AlterConfigs or IncrementalAlterConfigs. It is judged as a whole against the newest image, and the
// controller carries it out only if the configuration is still the one it was judged against; otherwise it is judged again.
type alteration struct {
	kind    kmsg.ConfigResourceType
	name    string
	changes []config.Change
	nulls   []string // keys without the value they need
	replace bool     // what is not named goes

	validateOnly bool
	tries        int
	done         func(t *shard.Turn, refusal *configRefusal)
}

const (
	// alterTries bounds how often somebody else may come first.
	alterTries = 100
	// keyBytesMax is what the catalogue takes; Kafka's longest key has less than half of it.
	keyBytesMax = 255
)

// alter judges an alteration and has it carried out; done is called exactly once.
func (d *Desk) alter(t *shard.Turn, r *conn.Request, a *alteration) {
	command, refusal := d.judge(r, a)
	if refusal != nil || command == nil || a.validateOnly {
		a.done(t, refusal)
		return
	}
	asked := d.propose(*command, func(t *shard.Turn, res catalog.Result) {
		if a.tries++; res.Err != nil && res.Err.Code == catalog.Changed && a.tries < alterTries {
			d.alter(t, r, a)
			return
		}
		a.done(t, refusalOf(res.Err))
	})
	if !asked {
		a.done(t, refusalOf(controllerBusy))
	}
}

func refusalOf(err *catalog.Error) *configRefusal {
	if err == nil {
		return nil
	}
	code, message := catalogError(err)
	return &configRefusal{code, message}
}

// judge says why an alteration is refused, or gives the command that makes it; neither when it changes nothing.
func (d *Desk) judge(r *conn.Request, a *alteration) (*catalog.Command, *configRefusal) {
	if refusal := a.malformed(); refusal != nil {
		return nil, refusal
	}
	switch a.kind {
	case configTopic:
		return d.judgeTopic(r, a)
	case configBroker:
		return d.judgeBroker(r, a)
	case configGroup, configClientMetrics:
		return d.judgeResource(r, a)
	case configLogger:
		if !a.replace { // key 33 does not know loggers
			return nil, d.alterLoggers(r, a)
		}
	}
	return nil, &configRefusal{wire.CodeInvalidRequest, fmt.Sprintf("Unknown resource type %d", a.kind)}
}

// malformed finds what is wrong with the request whatever the resource (ConfigAdminManager.preprocess).
func (a *alteration) malformed() *configRefusal {
	seen := make(map[string]bool, len(a.changes))
	for i := range a.changes {
		key := a.changes[i].Key
		switch {
		case seen[key]:
			return &configRefusal{wire.CodeInvalidRequest, "Error due to duplicate config keys"}
		case key == "" || len(key) > keyBytesMax:
			return &configRefusal{wire.CodeInvalidConfig, fmt.Sprintf("a config key has %d bytes; it may have 1 to %d", len(key), keyBytesMax)}
		}
		seen[key] = true
	}
	if len(a.nulls) > 0 {
		return &configRefusal{wire.CodeInvalidRequest, "Null value not supported for : " + strings.Join(a.nulls, ", ")}
	}
	return nil
}

func (d *Desk) judgeTopic(r *conn.Request, a *alteration) (*catalog.Command, *configRefusal) {
	if !d.allowed(r, opAlterConfigs, onTopic, a.name) {
		return nil, &configRefusal{wire.CodeTopicAuthorizationFailed, "Topic authorization failed."}
	}
	if a.name == "" {
		return nil, &configRefusal{wire.CodeInvalidRequest, "Default topic resources are not allowed."}
	}
	if invalid := catalog.CheckName(a.name); invalid != nil {
		return nil, &configRefusal{wire.CodeInvalidTopicException, invalid.Message}
	}
	topic := d.image().TopicCalled(a.name)
	var now map[string]string
	if topic != nil {
		now = topic.Configs
	}
	next, err := a.outcome(now, config.LookupTopic)
	if err == nil {
		_, err = d.node.Broker.Now().Topic(next)
	}
	if err != nil {
		return nil, configError(err)
	}
	if topic == nil {
		return nil, &configRefusal{wire.CodeUnknownTopicOrPartition, "The topic '" + a.name + "' does not exist."}
	}
	changes := difference(now, next)
	if len(changes) == 0 {
		return nil, nil
	}
	command := catalog.AlterTopicConfigs(topic, changes)
	return &command, nil
}

func (d *Desk) judgeBroker(r *conn.Request, a *alteration) (*catalog.Command, *configRefusal) {
	if !d.allowed(r, opAlterConfigs, onCluster, "") {
		return nil, &configRefusal{wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."}
	}
	node := clusterDefault
	if a.name != "" {
		id, err := strconv.ParseInt(a.name, 10, 32)
		if err != nil {
			return nil, &configRefusal{wire.CodeInvalidRequest, "Node id must be an integer, but it is: " + a.name}
		}
		if !d.isOurs(id) {
			return nil, &configRefusal{wire.CodeInvalidRequest, fmt.Sprintf("Unexpected broker id, expected %d, but received %s", d.self(), a.name)}
		}
		node = d.node.ID // cores share the settings of their node
	}
	now := d.image().BrokerConfigs(node)
	next, err := a.outcome(now, config.LookupBroker)
	if err == nil {
		err = d.node.Broker.Now().CheckDynamic(next, node != clusterDefault)
	}
	if err != nil {
		return nil, configError(err)
	}
	changes := difference(now, next)
	if len(changes) == 0 {
		return nil, nil
	}
	command := catalog.AlterBrokerConfigs(node, now, changes)
	return &command, nil
}

// outcome is the resource's configuration after the changes.
func (a *alteration) outcome(now map[string]string, lookup func(string) (*config.Key, bool)) (map[string]string, error) {
	if a.replace {
		now = nil
	}
	return config.Alter(now, a.changes, lookup)
}

// difference lists what leads from one configuration to another, in order of key.
func difference(now, next map[string]string) []catalog.ConfigChange {
	var changes []catalog.ConfigChange
	for _, key := range slices.Sorted(maps.Keys(next)) {
		if value, had := now[key]; !had || value != next[key] {
			changes = append(changes, catalog.ConfigChange{Key: key, Value: next[key]})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if _, kept := next[key]; !kept {
			changes = append(changes, catalog.ConfigChange{Key: key, Delete: true})
		}
	}
	return changes
}

// configError maps what engine/config refuses.
func configError(err error) *configRefusal {
	var topic *config.InvalidTopic
	var broker *config.InvalidBroker
	switch {
	case errors.As(err, &topic):
		return &configRefusal{wire.CodeInvalidConfig, topic.Text}
	case errors.As(err, &broker):
		return &configRefusal{wire.CodeInvalidRequest, broker.Text}
	}
	return &configRefusal{wire.CodeInvalidConfig, err.Error()}
}

// add takes one change of the request.
func (a *alteration) add(key string, op config.Operation, value *string) {
	c := config.Change{Key: key, Operation: op}
	switch {
	case value != nil:
		c.Value = *value
	case op != config.Delete:
		a.nulls = append(a.nulls, key)
	}
	a.changes = append(a.changes, c)
}

// refusedConfig is how a refusal stands in a response.
func (d *Desk) refusedConfig(refusal *configRefusal) (int16, *string) {
	if refusal == nil {
		return 0, nil
	}
	d.count(refusal.code)
	return int16(refusal.code), &refusal.message
}

// alterAll makes the alterations of one request and answers when all are done.
func (d *Desk) alterAll(t *shard.Turn, r *conn.Request, list []*alteration, resp kmsg.Response) {
	type resource struct {
		kind kmsg.ConfigResourceType
		name string
	}
	named := make(map[resource]int, len(list))
	for _, a := range list {
		named[resource{a.kind, a.name}]++
	}
	left := 1 + len(list)
	home := func(t *shard.Turn) {
		if left--; left == 0 {
			d.answer(t, r, resp)
		}
	}
	for _, a := range list {
		answer := a.done
		a.done = func(t *shard.Turn, refusal *configRefusal) {
			answer(t, refusal)
			home(t)
		}
		if named[resource{a.kind, a.name}] > 1 {
			a.done(t, &configRefusal{wire.CodeInvalidRequest, "Each resource must appear at most once."})
			continue
		}
		d.alter(t, r, a)
	}
	home(t)
}
