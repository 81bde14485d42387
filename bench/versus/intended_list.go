package versus

import "pinion/net/kafka/wire"

// Intended is every difference that is on purpose.
var Intended = []Difference{
	{
		What: "Refusals come with words where Kafka gives only a code.",
		Why:  "A code alone does not say which record, setting or limit it was.",
		Path: "*ErrorMessage", Kafka: "null", Pinion: "words",
	},
	{
		What: "A refused batch is answered without the log start offset.",
		Why:  "It says nothing about the refusal, and the batch may not have got as far as the shard that knows it.",
		Keys: []int16{wire.KeyProduce}, Path: "*LogStartOffset", Pinion: "-1",
	},
	{
		What: "A batch sent twice is answered as it was the first time.",
		Why:  "Kafka puts the batch's largest timestamp where the time of the append belongs, even where timestamps are the producer's.",
		Keys: []int16{wire.KeyProduce}, Step: "*again", Path: "*LogAppendTime", Pinion: "-1",
	},
	{
		What: "Produce with a transactional id is refused.",
		Why:  "There are no transactions yet; Kafka accepts batches that are not transactional under any such id.",
		Keys: []int16{wire.KeyProduce}, Step: "transactional id",
	},
	{
		What: "Bytes behind a batch make it invalid.",
		Why:  "Kafka cuts them off and answers well; they are a sign of a broken client.",
		Keys: []int16{wire.KeyProduce}, Step: "bytes behind",
	},
	{
		What: "Null records are answered with INVALID_RECORD.",
		Why:  "Kafka fails inside and never answers, and its client waits for its timeout.",
		Keys: []int16{wire.KeyProduce}, Step: "null records",
	},
	{
		What: "What a request names twice is answered twice.",
		Why:  "Every answer stands where its question stood. Kafka takes the names as a set.",
		Step: "*twice*",
	},
	{
		What: "A topic that is named without partitions is answered without partitions.",
		Why:  "Every answer stands where its question stood. Kafka leaves such topics out.",
		Step: "no partitions", Path: "Topics",
	},
	{
		What: "No session is made for a fetch of nothing.",
		Why:  "It would remember nothing; a client without a session sends full requests, which costs it nothing here.",
		Keys: []int16{wire.KeyFetch}, Step: "a session of nothing", Path: "SessionID",
	},
	{
		What: "ApiVersions names the keys that work.",
		Why:  "Transactions, newer kinds of groups, security and replication are not there yet.",
		Keys: []int16{wire.KeyAPIVersions}, Path: "ApiKeys",
	},
	{
		What: "No feature is finalised.",
		Why:  "Clients act on features: a broker must not name what it does not do. Each is at level 0, which UpdateFeatures takes; any other it refuses.",
		Keys: []int16{wire.KeyAPIVersions}, Path: "*Features*",
	},
	{
		What: "Topics have pinion.durability, and the keys of Kafka 4.4.",
		Why:  "Durability is the one setting Kafka has no key for; configurations of the newest release are understood.",
		Path: "*Configs", Pinion: "*pinion.durability*",
	},
	{
		What: "min.insync.replicas is a default and not a setting of the cluster.",
		Why:  "Kafka stores it for the whole cluster as soon as it has eligible leader replicas (KIP-966), which are not there yet.",
		Path: "*min.insync.replicas*",
	},
	{
		What: "The settings of the whole cluster can be replaced as a whole.",
		Why:  "Kafka refuses to, because that would remove min.insync.replicas.",
		Keys: []int16{wire.KeyAlterConfigs}, Step: "broker \"\"|the unknown, broker \"\"|nothing, broker \"\"",
	},
	{
		What: "What was replaced for the whole cluster is shown.",
		Why:  "Kafka has refused to replace it.",
		Keys: []int16{wire.KeyDescribeConfigs}, Step: "broker \"\" is set*|broker \"\" has nothing left*",
	},
	{
		What: "The hours and minutes a topic's times may come from are among their synonyms.",
		Why:  "They are where the value comes from; Kafka shows milliseconds alone, which nobody has set.",
		Keys: []int16{wire.KeyDescribeConfigs}, Path: "*ConfigSynonyms", Pinion: "*log.*",
	},
	{
		What: "Keys that have no effect cannot be changed while the broker runs.",
		Why:  "A change that is accepted must change something.",
		Keys: []int16{wire.KeyDescribeConfigs}, Path: "*ReadOnly", Kafka: "false", Pinion: "true",
	},
	{
		What: "Partitions and topics with an error stand where the request has them.",
		Why:  "Kafka puts them behind the others; clients find partitions by their number.",
		Keys: []int16{wire.KeyFetch}, Step: "bad partitions among good|it is told again|with its error", Path: "*.Partitions|Topics",
	},
	{
		What: "Where Kafka fails inside, the error says what was wrong with the request.",
		Why:  "UNKNOWN_SERVER_ERROR does not say whose fault it is.",
		Path: "*ErrorCode", Kafka: "UNKNOWN_SERVER_ERROR",
	},
	{
		What: "A negative size limit counts as 0, and an isolation level nobody knows as read uncommitted.",
		Why:  "Kafka fails inside.",
		Keys: []int16{wire.KeyFetch, wire.KeyListOffsets}, Step: "* limit -1|isolation level 2",
	},
	{
		What: "A topic asked for by neither name nor id is an error of its own.",
		Why:  "Kafka fails inside, and answers for no other topic of the request either.",
		Keys: []int16{wire.KeyMetadata}, Step: "neither id nor name",
	},
	{
		What: "Metadata 10 and 11 name the brokers also where an id is asked for, which those versions cannot.",
		Why:  "The brokers are asked for as well; Kafka answers for the topics alone.",
		Keys: []int16{wire.KeyMetadata}, Step: "by id|by id and name|by unknown id", Path: "Brokers|ClusterID|ControllerID",
	},
	{
		What: "A topic whose name collides with another's is not created on demand, and INVALID_TOPIC_EXCEPTION says so.",
		Why:  "Kafka does not create it either, and lets the client ask for ever.",
		Keys: []int16{wire.KeyMetadata}, Step: "a colliding name to be created", Path: "*ErrorCode", Pinion: "INVALID_TOPIC_EXCEPTION",
	},
	{
		What: "A topic that is created on demand is there in the answer.",
		Why:  "Kafka answers before it is, and lets the client ask again.",
		Keys: []int16{wire.KeyMetadata}, Step: "one to be created",
	},
	{
		What: "Keys of topics that Kafka 4 has removed are taken, and have no effect.",
		Why:  "Tools that still send them would otherwise not be able to create topics at all.",
		Keys: []int16{wire.KeyCreateTopics}, Step: "validate a removed key*",
	},
	{
		What: "Loggers have other names and levels.",
		Why:  "They are those of this broker's parts.",
		Keys: []int16{wire.KeyDescribeConfigs}, Step: "resource type 8*", Path: "*Configs|*[root].Value",
	},
	{
		What: "The send buffer has room for a fetch.",
		Why:  "Kafka's 100 KiB send a megabyte in four pieces.",
		Keys: []int16{wire.KeyDescribeConfigs}, Path: "*[socket.send.buffer.bytes].Value", Kafka: "\"102400\"", Pinion: "\"1048576\"",
	},
	{
		What: "A broker key without a value is null.",
		Why:  "Kafka shows some as empty texts, which they are not.",
		Keys: []int16{wire.KeyDescribeConfigs}, Path: "*Value", Kafka: "\"\"", Pinion: "null",
	},
	{
		What: "A broker key without a value and a default has no synonyms.",
		Why:  "Kafka shows some as empty texts, which they are not.",
		Keys: []int16{wire.KeyDescribeConfigs}, Path: "*ConfigSynonyms", Pinion: "[]",
	},
	{
		What: "The cluster has no setting min.insync.replicas of its own.",
		Why:  "Kafka stores it there as soon as it has eligible leader replicas (KIP-966), which are not there yet.",
		Keys: []int16{wire.KeyDescribeConfigs}, Path: "*Configs", Kafka: "[min.insync.replicas]",
	},
	{
		What: "Node id, roles, listeners, directories and the quorum are set up differently.",
		Why:  "Kafka needs a controller with a listener of its own; Pinion takes node id and roles by default, listens on this machine alone by default, and has one listener.",
		Keys: []int16{wire.KeyDescribeConfigs},
		Path: "*[broker.id]*|*[controller.listener.names]*|*[controller.quorum.*|*[listener.security.protocol.map]*|*[listeners]*|*[log.dir]*|*[log.dirs]*|*[node.id]*|*[process.roles]*",
	},
	{
		What: "A list of all topics from a negative partition on begins with the first.",
		Why:  "Kafka refuses with an answer that cannot carry an error.",
		Keys: []int16{wire.KeyDescribeTopicPartitions}, Step: "all, from -1",
	},
	{
		What: "ApiVersions of an unknown version is answered, whatever follows its header.",
		Why:  "It is how versions are found out; nothing of the request is needed for the answer.",
		Step: "nonsense: ApiVersions v*",
	},
	{
		What: "A request for no reassignment at all is answered without words.",
		Why:  "Kafka answers an empty text.",
		Keys: []int16{wire.KeyAlterPartitionReassignments}, Step: "no topics", Path: "ErrorMessage",
	},
	{
		What: "Voters are reached where their brokers are.",
		Why:  "Kafka's controllers have listeners of their own; the quorum here lives inside the brokers.",
		Keys: []int16{wire.KeyDescribeQuorum}, Path: "Nodes[*].Listeners",
	},
	{
		What: "Addresses have no quotas.",
		Why:  "connection_creation_rate is not enforced, and a quota that is taken must hold; max.connections.per.ip limits connections.",
		Keys: []int16{wire.KeyAlterClientQuotas}, Step: "an address|an address no more",
	},
}
