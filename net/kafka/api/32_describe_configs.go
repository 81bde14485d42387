package api

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/engine/catalog"
	"pinion/engine/config"
	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
	"pinion/net/conn"
	"pinion/net/kafka/wire"
)

// DescribeConfigs (key 32) shows the settings of topics, of this broker (by its id), and of all brokers (an empty name: what was set for
// the whole cluster); of groups, of subscriptions to client metrics, and the levels of this broker's loggers. With synonyms it tells where each value could come from, the place in force first; tools compare the sources.
// Cores that are brokers share the settings of their node: each id shows the same.
// Version 3 adds types and documentation (KIP-569), 4 is flexible. Values of passwords, and of keys nobody knows, are never shown.

// Resource types of configurations. Fixed by the protocol.
const (
	configTopic         kmsg.ConfigResourceType = 2
	configBroker        kmsg.ConfigResourceType = 4
	configLogger        kmsg.ConfigResourceType = 8
	configClientMetrics kmsg.ConfigResourceType = 16
	configGroup         kmsg.ConfigResourceType = 32
)

// clusterDefault stands for all brokers in the catalogue's dynamic configurations.
const clusterDefault model.NodeID = -1

// configRefusal is why a resource is not described or altered.
type configRefusal struct {
	code    wire.ErrorCode
	message string
}

func (d *Desk) describeConfigs(t *shard.Turn, r *conn.Request, req *kmsg.DescribeConfigsRequest) {
	r.FreeBody(t)
	resp := kmsg.NewPtrDescribeConfigsResponse()
	resp.Resources = make([]kmsg.DescribeConfigsResponseResource, len(req.Resources))
	for i := range req.Resources {
		in, out := &req.Resources[i], &resp.Resources[i]
		*out = kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = in.ResourceType, in.ResourceName
		out.ErrorMessage = new(string) // Kafka's is empty, not null
		entries, refusal := d.configEntries(r, in)
		if refusal != nil {
			out.ErrorCode = int16(refusal.code)
			out.ErrorMessage = &refusal.message
			d.count(refusal.code)
			continue
		}
		for j := range entries {
			if len(in.ConfigNames) == 0 || slices.Contains(in.ConfigNames, entries[j].Name) {
				out.Configs = append(out.Configs, describedConfig(&entries[j], req))
			}
		}
	}
	d.answer(t, r, resp)
}

// configEntries are all settings of one resource.
func (d *Desk) configEntries(r *conn.Request, in *kmsg.DescribeConfigsRequestResource) ([]config.Entry, *configRefusal) {
	broker := d.node.Broker.Now()
	switch in.ResourceType {
	case configTopic:
		if !d.allowed(r, opDescribeConfigs, onTopic, in.ResourceName) {
			return nil, &configRefusal{wire.CodeTopicAuthorizationFailed, "Topic authorization failed."}
		}
		if invalid := catalog.CheckName(in.ResourceName); invalid != nil {
			return nil, &configRefusal{wire.CodeInvalidTopicException, invalid.Message}
		}
		topic := d.image().TopicCalled(in.ResourceName)
		if topic == nil {
			return nil, &configRefusal{wire.CodeUnknownTopicOrPartition, ""}
		}
		return broker.Describe(topic.Configs), nil
	case configBroker:
		if !d.allowed(r, opDescribeConfigs, onCluster, "") {
			return nil, &configRefusal{wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."}
		}
		if in.ResourceName == "" {
			return broker.DescribeCluster(), nil
		}
		id, err := strconv.ParseInt(in.ResourceName, 10, 32)
		if err != nil {
			return nil, &configRefusal{wire.CodeInvalidRequest, "Broker id must be an integer, but it is: " + in.ResourceName}
		}
		if !d.isOurs(id) {
			return nil, &configRefusal{wire.CodeInvalidRequest,
				fmt.Sprintf("Unexpected broker id, expected %d or empty string, but received %s", d.self(), in.ResourceName)}
		}
		return broker.DescribeBroker(), nil
	case configLogger, configClientMetrics, configGroup:
		return d.otherEntries(r, in)
	}
	return nil, &configRefusal{wire.CodeInvalidRequest, fmt.Sprintf("Unsupported resource type: %d", in.ResourceType)}
}

// otherEntries are all settings of what is neither a topic nor a broker.
func (d *Desk) otherEntries(r *conn.Request, in *kmsg.DescribeConfigsRequestResource) ([]config.Entry, *configRefusal) {
	values := d.image().ResourceConfigs(placement.Resource{Kind: int8(in.ResourceType), Name: in.ResourceName})
	if in.ResourceType == configGroup {
		switch {
		case !d.allowed(r, opDescribeConfigs, onGroup, in.ResourceName):
			return nil, &configRefusal{wire.CodeGroupAuthorizationFailed, "Group authorization failed."}
		case in.ResourceName == "":
			return nil, &configRefusal{wire.CodeInvalidRequest, "Group name must not be empty"}
		}
		return d.node.Broker.Now().DescribeGroup(values), nil
	}
	if !d.allowed(r, opDescribeConfigs, onCluster, "") {
		return nil, &configRefusal{wire.CodeClusterAuthorizationFailed, "Cluster authorization failed."}
	}
	if in.ResourceType == configClientMetrics {
		if in.ResourceName == "" {
			return nil, &configRefusal{wire.CodeInvalidRequest, "Client metrics subscription name must not be empty"}
		}
		return config.DescribeClientMetrics(values), nil
	}
	if in.ResourceName == "" {
		return nil, &configRefusal{wire.CodeInvalidRequest, "Broker id must not be empty"}
	}
	if refusal := d.loggerOf(in.ResourceName); refusal != nil {
		return nil, refusal
	}
	return d.loggerEntries(), nil
}

func describedConfig(e *config.Entry, req *kmsg.DescribeConfigsRequest) kmsg.DescribeConfigsResponseResourceConfig {
	c := kmsg.NewDescribeConfigsResponseResourceConfig()
	c.Name, c.ReadOnly, c.IsSensitive = e.Name, e.ReadOnly, e.Sensitive
	c.Source, c.ConfigType = kmsg.ConfigSource(e.Source), kmsg.ConfigType(e.Kind)
	if !e.Null {
		c.Value = &e.Value
	}
	if req.IncludeSynonyms {
		for i := range e.Synonyms {
			s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			s.Name, s.Source = e.Synonyms[i].Name, kmsg.ConfigSource(e.Synonyms[i].Source)
			if !e.Sensitive {
				s.Value = &e.Synonyms[i].Value
			}
			c.ConfigSynonyms = append(c.ConfigSynonyms, s)
		}
	}
	if req.IncludeDocumentation || e.Source == config.SourceLogger { // of which Kafka has an empty one, whether it is wanted or not
		text := e.Documentation()
		c.Documentation = &text
	}
	return c
}
