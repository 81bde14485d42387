package group

import (
	"time"

	"pinion/engine/model"
)

// Request is one request of a client. It belongs to the Coordinator from Do until it is among its answers; then its outcome is set.
type Request interface{ common() *Common }

// Common is what all requests have.
type Common struct {
	Group string
	Code  Code // outcome

	answered bool
}

func (r *Common) common() *Common { return r }

// CodeOf is the outcome of a request that was answered.
func CodeOf(r Request) Code { return r.common().Code }

// Protocol is one way of assigning partitions that a member knows, and what it says about itself to whoever assigns.
type Protocol struct {
	Name     string
	Metadata []byte
}

// Join asks to be a member of the next generation. It is answered when that begins.
type Join struct {
	Common
	Member     string // empty: not known yet
	Instance   *string
	ClientID   string
	ClientHost string
	Type       string // of the protocols, "consumer" for consumers
	Protocols  []Protocol
	Session    time.Duration
	Rebalance  time.Duration
	TwoSteps   bool // a new member has to ask twice, so that one who never hears the answer leaves no trace (KIP-394)
	MaySkip    bool // a static leader that comes back may be told to assign nothing (KIP-814)

	// Outcome.
	Assigned   string // the member's id
	Generation int32
	Leader     string
	Chosen     *Chosen
	Members    []Subscriber // for the leader alone
	Skip       bool
}

// Chosen is the protocol of a generation.
type Chosen struct {
	Type string
	Name *string // nil: none
}

// Subscriber is a member as its leader sees it.
type Subscriber struct {
	Member   string
	Instance *string
	Metadata []byte
}

// Sync asks for the member's assignment; the leader brings everybody's. It is answered when that is durable.
type Sync struct {
	Common
	Member      string
	Instance    *string
	Generation  int32
	Type, Name  *string // of the protocol, nil: not said
	Assignments []Assignment

	// Outcome.
	Chosen     *Chosen
	Assignment []byte
}

// Assignment is what one member gets.
type Assignment struct {
	Member string
	Bytes  []byte
}

// Heartbeat says that a member is alive.
type Heartbeat struct {
	Common
	Member     string
	Instance   *string
	Generation int32
}

// Leave removes members.
type Leave struct {
	Common
	Members []Leaver
}

// Leaver is one member that leaves, named by its id or, by an administrator, by its instance alone.
type Leaver struct {
	Member   string
	Instance *string
	Code     Code // outcome
}

// Commit stores offsets: of a member of the current generation, or of somebody who is none, to a group without members (generation -1,
// no member). It is answered when they are durable.
type Commit struct {
	Common
	Member     string
	Instance   *string
	Generation int32
	Retention  time.Duration // negative: the broker's
	Topics     []CommitTopic
}

// CommitTopic is the part of a commit for one topic.
type CommitTopic struct {
	Topic      string
	ID         model.TopicID // zero: not known
	Partitions []CommitPartition
}

// CommitPartition is one offset.
type CommitPartition struct {
	Partition int32
	Offset    int64
	Epoch     model.Epoch // of the record before, or NoEpoch
	Metadata  string
	Code      Code // outcome
}

// Fetch reads offsets.
type Fetch struct {
	Common
	All    bool         // whatever there is
	Stable bool         // wait for commits under way
	Topics []FetchTopic // set by the coordinator for All
}

// FetchTopic is the part for one topic.
type FetchTopic struct {
	Topic      string
	ID         model.TopicID // zero: whatever id the topic had when the offset was committed
	Partitions []FetchPartition
}

// FetchPartition is one answer; an offset that is not there is -1.
type FetchPartition struct {
	Partition int32
	Offset    int64
	Epoch     model.Epoch
	Metadata  string
	Committed model.TopicID // of the topic when the offset was committed; zero where nobody said, and where there is no offset
}

// DeleteOffsets forgets offsets of topics the group does not read.
type DeleteOffsets struct {
	Common
	Topics []DeleteTopic
}

// DeleteTopic is the part for one topic.
type DeleteTopic struct {
	Topic      string
	Partitions []int32
	Code       Code // outcome, for all of them
}

// Delete removes a group without members, and its offsets.
type Delete struct{ Common }

// Describe tells what a group is.
type Describe struct {
	Common

	// Outcome.
	State    State
	Type     string
	Protocol string
	Members  []Described
}

// Described is one member; what it subscribes to and got is known of a stable group.
type Described struct {
	Member, ClientID, ClientHost string
	Instance                     *string
	Metadata, Assignment         []byte
}

// List tells which groups there are. Its Group means nothing.
type List struct {
	Common
	Groups []Listed // outcome
}

// Listed is one group.
type Listed struct {
	Group, Type string
	State       State
}
