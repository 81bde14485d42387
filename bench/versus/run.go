package versus

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// scenes are what is asked of each version of a key.
var scenes = map[int16]func(s *script, version int16){
	wire.KeyProduce:                     sceneProduce,
	wire.KeyFetch:                       sceneFetch,
	wire.KeyListOffsets:                 sceneListOffsets,
	wire.KeyMetadata:                    sceneMetadata,
	wire.KeyOffsetCommit:                sceneOffsetCommit,
	wire.KeyOffsetFetch:                 sceneOffsetFetch,
	wire.KeyFindCoordinator:             sceneFindCoordinator,
	wire.KeyJoinGroup:                   sceneJoinGroup,
	wire.KeyHeartbeat:                   sceneHeartbeat,
	wire.KeyLeaveGroup:                  sceneLeaveGroup,
	wire.KeySyncGroup:                   sceneSyncGroup,
	wire.KeyDescribeGroups:              sceneDescribeGroups,
	wire.KeyListGroups:                  sceneListGroups,
	wire.KeyDeleteGroups:                sceneDeleteGroups,
	wire.KeyOffsetDelete:                sceneOffsetDelete,
	wire.KeyAPIVersions:                 sceneAPIVersions,
	wire.KeyCreateTopics:                sceneCreateTopics,
	wire.KeyDeleteTopics:                sceneDeleteTopics,
	wire.KeyDeleteRecords:               sceneDeleteRecords,
	wire.KeyInitProducerID:              sceneInitProducerID,
	wire.KeyOffsetForLeaderEpoch:        sceneEpochEnds,
	wire.KeyDescribeConfigs:             sceneDescribeConfigs,
	wire.KeyAlterConfigs:                sceneAlterConfigs,
	wire.KeyAlterReplicaLogDirs:         sceneAlterReplicaLogDirs,
	wire.KeyDescribeLogDirs:             sceneDescribeLogDirs,
	wire.KeyCreatePartitions:            sceneCreatePartitions,
	wire.KeyIncrementalAlterConfigs:     sceneIncrementalAlterConfigs,
	wire.KeyAlterPartitionReassignments: sceneAlterReassignments,
	wire.KeyListPartitionReassignments:  sceneListReassignments,
	wire.KeyDescribeCluster:             sceneDescribeCluster,
	wire.KeyDescribeProducers:           sceneDescribeProducers,
	wire.KeyDescribeTopicPartitions:     sceneDescribeTopicPartitions,
	wire.KeyElectLeaders:                sceneElectLeaders,
	wire.KeyDescribeQuorum:              sceneDescribeQuorum,
	wire.KeyUpdateFeatures:              sceneUpdateFeatures,
	wire.KeyUnregisterBroker:            sceneUnregisterBroker,
	wire.KeyListConfigResources:         sceneListConfigResources,
	wire.KeyDescribeClientQuotas:        sceneDescribeQuotas,
	wire.KeyAlterClientQuotas:           sceneAlterQuotas,
}

// Settings are what both sides are started with: one node, and groups whose first members do not wait for others.
var Settings = []string{
	"offsets.topic.replication.factor=1", "transaction.state.log.replication.factor=1", "share.coordinator.state.topic.replication.factor=1",
	"group.initial.rebalance.delay.ms=0",
}

// Report is what a run found.
type Report struct {
	Requests int // compared; what prepares them is not counted
	Settled  int // of them, those at which Kafka had to be asked again
	Hurried  int // how often Pinion had to be, because a shard did not answer in time
	Asked    map[KeyVersion]int
	Intended []int    // how often each entry of Intended occurred
	Faults   []string // differences nobody intended, intended ones that are gone, versions that were not asked
}

// Compare runs the script against both. The addresses are those of fresh brokers with node id 1 and their log directories. Where only is not
// empty, nothing is asked but those keys, and the report says nothing of what was therefore not seen.
func Compare(kafkaAddr, kafkaDir, pinionAddr, pinionDir string, only ...int16) (*Report, error) {
	kafka, err := newParty("Kafka", kafkaAddr, kafkaDir)
	if err != nil {
		return nil, err
	}
	defer kafka.hangUp()
	pinion, err := newParty("Pinion", pinionAddr, pinionDir)
	if err != nil {
		return nil, err
	}
	defer pinion.hangUp()
	s := newScript(kafka, pinion)
	s.prepare("cluster id", func(*party) kmsg.Request { return versioned(kmsg.NewPtrMetadataRequest(), 12) }, brokersThere)
	s.coordinator()
	s.producer("the first of all") // Kafka fetches a block of ids before it has one
	var keys []kmsg.ApiVersionsResponseApiKey
	s.prepareOne(pinion, "what is advertised", versioned(kmsg.NewPtrApiVersionsRequest(), 0), func(resp kmsg.Response) error {
		if keys = resp.(*kmsg.ApiVersionsResponse).ApiKeys; len(keys) == 0 {
			return errors.New("no keys")
		}
		return nil
	})
	if len(only) > 0 {
		keys = slices.DeleteFunc(keys, func(k kmsg.ApiVersionsResponseApiKey) bool { return !slices.Contains(only, k.ApiKey) })
	}
	for _, k := range keys {
		scene := scenes[k.ApiKey]
		if scene == nil {
			continue // told below
		}
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			scene(s, v)
		}
	}
	sceneNonsense(s, keys)
	if s.broken != nil {
		return nil, s.broken
	}
	return s.report(keys, len(only) == 0), nil
}

func brokersThere(resp kmsg.Response) error {
	if len(resp.(*kmsg.MetadataResponse).Brokers) == 0 {
		return errors.New("no broker is registered")
	}
	return nil
}

// sceneNonsense is what no client of the advertised versions sends.
func sceneNonsense(s *script, keys []kmsg.ApiVersionsResponseApiKey) {
	for _, k := range keys {
		for _, v := range []int16{k.MinVersion - 1, k.MaxVersion + 1, 99} {
			s.raw(fmt.Sprintf("%s v%d", kmsg.NameForKey(k.ApiKey), v), k.ApiKey, v, nil)
		}
		s.raw(kmsg.NameForKey(k.ApiKey)+" without a body", k.ApiKey, k.MaxVersion, nil)
		s.raw(kmsg.NameForKey(k.ApiKey)+" that breaks off", k.ApiKey, k.MaxVersion, []byte{0, 0x7f})
	}
	s.raw("ApiVersions v99, with the tagged fields of its header", kmsg.ApiVersions.Int16(), 99, []byte{0})
	s.raw("a key nobody has", 999, 0, nil)
	s.raw("a negative key", -1, 0, nil)
}

// raw compares what becomes of a frame whose body is not a request.
func (s *script) raw(step string, key, version int16, body []byte) {
	s.compare("nonsense: "+step, func(*party) kmsg.Request {
		return &kmsg.ApiVersionsRequest{Version: 0}
	}, func(p *party, req kmsg.Request) outcome {
		return p.askRaw(key, version, body)
	}, false)
}

func (s *script) report(keys []kmsg.ApiVersionsResponseApiKey, whole bool) *Report {
	r := &Report{Requests: s.requests, Settled: s.settled, Hurried: s.hurried, Asked: s.asked, Intended: s.intended}
	for i := range s.found {
		r.Faults = append(r.Faults, s.found[i].String())
	}
	for i, n := range s.intended {
		if n == 0 && whole {
			r.Faults = append(r.Faults, "intended, and it does not occur: "+Intended[i].What)
		}
	}
	for _, k := range keys {
		for v := k.MinVersion; v <= k.MaxVersion; v++ {
			if s.asked[KeyVersion{k.ApiKey, v}] == 0 {
				r.Faults = append(r.Faults, fmt.Sprintf("%s v%d is advertised, and nothing asks it", kmsg.NameForKey(k.ApiKey), v))
			}
		}
	}
	return r
}
