package api

import (
	"fmt"
	"strconv"

	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/loggers"
	"pinion/engine/placement"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// judgeResource is judge for groups and subscriptions to client metrics. Neither need exist.
func (d *Desk) judgeResource(r *conn.Request, a *alteration) (*catalog.Command, *configRefusal) {
	switch {
	case a.kind == configGroup && !d.allowed(r, opAlterConfigs, onGroup, a.name):
		return nil, &configRefusal{wire.CodeGroupAuthorizationFailed, "Group authorization failed."}
	case a.kind == configClientMetrics && !d.allowed(r, opAlterConfigs, onCluster, ""):
		return nil, &configRefusal{wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."}
	case a.kind == configGroup && a.name == "":
		return nil, &configRefusal{wire.CodeInvalidRequest, "Default group resources are not allowed."}
	case a.kind == configClientMetrics && a.name == "":
		return nil, &configRefusal{wire.CodeInvalidRequest, "Subscription name can't be empty"}
	case len(a.name) > catalog.ResourceNameMax:
		return nil, &configRefusal{wire.CodePolicyViolation, fmt.Sprintf("a name of %d bytes; what is configured has names of at most %d", len(a.name), catalog.ResourceNameMax)}
	}
	resource := placement.Resource{Kind: int8(a.kind), Name: a.name}
	now := d.image().ResourceConfigs(resource)
	next, err := a.outcome(now, noLists)
	if err == nil && a.kind == configGroup {
		err = d.node.Broker.Now().CheckGroup(next)
	} else if err == nil {
		err = config.CheckClientMetrics(next)
	}
	if err != nil {
		return nil, configError(err)
	}
	changes := difference(now, next)
	if len(changes) == 0 {
		return nil, nil
	}
	command := catalog.AlterResourceConfigs(resource, now, changes)
	return &command, nil
}

// noLists knows no key: nothing can be appended to what is not known to be a list, and Kafka knows none of these, not even those that are.
func noLists(string) (*config.Key, bool) { return nil, false }

// loggerOf refuses the loggers of a broker that is not this node.
func (d *Desk) loggerOf(name string) *configRefusal {
	id, err := strconv.ParseInt(name, 10, 32)
	switch {
	case err != nil:
		return &configRefusal{wire.CodeInvalidRequest, "Node id must be an integer, but it is: " + name}
	case !d.isOurs(id):
		return &configRefusal{wire.CodeInvalidRequest, fmt.Sprintf("Unexpected node id. Expected %d, but received %d", d.self(), id)}
	}
	return nil
}

// loggerEntries are the levels of the node's loggers. A broker whose log goes elsewhere has none.
func (d *Desk) loggerEntries() []config.Entry {
	var entries []config.Entry
	for name, level := range loggers.Levels(d.node.Log) {
		entries = append(entries, config.Entry{Name: name, Value: level, Source: config.SourceLogger})
	}
	return entries
}

// alterLoggers sets levels of the node's loggers, all of one request or none. They hold until the broker ends, as in Kafka.
func (d *Desk) alterLoggers(r *conn.Request, a *alteration) *configRefusal {
	if !d.allowed(r, opAlterConfigs, onCluster, "") {
		return &configRefusal{wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."}
	}
	if refusal := d.loggerOf(a.name); refusal != nil {
		return refusal
	}
	for i := range a.changes {
		c := &a.changes[i]
		known := loggers.Known(d.node.Log, c.Key)
		switch {
		case c.Operation != config.Set && c.Operation != config.Delete:
			return &configRefusal{wire.CodeInvalidRequest, fmt.Sprintf("%s operation is not allowed for the BROKER_LOGGER resource", c.Operation)}
		case !known:
			return &configRefusal{wire.CodeInvalidConfig, "Logger " + c.Key + " does not exist!"}
		case c.Operation == config.Set && !loggers.Valid(c.Value):
			return &configRefusal{wire.CodeInvalidConfig, fmt.Sprintf("Cannot set the log level of %s to %s as it is not a supported log level. Valid log levels are %s",
				c.Key, c.Value, loggers.Valids)}
		case c.Operation == config.Delete && c.Key == loggers.Root:
			return &configRefusal{wire.CodeInvalidRequest, "Removing the log level of the root logger is not allowed"}
		}
	}
	if a.validateOnly {
		return nil
	}
	for i := range a.changes {
		c := &a.changes[i]
		if c.Operation == config.Delete {
			c.Value = ""
		}
		loggers.Set(d.node.Log, c.Key, c.Value)
		d.node.Log.Warn("level of a logger changed", "logger", c.Key, "level", c.Value)
	}
	return nil
}
