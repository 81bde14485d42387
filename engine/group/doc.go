// Package group coordinates consumer groups in the classic protocol: who is in a group, who leads it, what each member was assigned, and
// which offsets were committed. A Coordinator holds the groups of one partition of __consumer_offsets. It is a machine: it takes requests,
// what the clock says and what became of its records, and returns answers, records to append and when it wants to be called again. It
// reads no clock, draws no random number by itself and knows no socket, file or protocol version; who owns it keeps those.
//
//	           first member joins                 everybody joined, or time is up
//	Empty ──────────────────────> Preparing ─────────────────────────────────────> Completing
//	  ^                            ^  ^   │                                          │   │
//	  └──── the last one left ─────│──│───┘          somebody came, left or failed   │   │ the leader's assignment
//	                               │  └──────────────────────────────────────────────┘   │ is durable
//	                               └───────────────────────── Stable <───────────────────┘
//
// Two kinds of state. Offsets, and what a group was when it was stable or became empty, are records: they count from the moment they are
// durable, in the order of the log, and Replay rebuilds them. Who has joined meanwhile, who owes a Sync and every deadline are memory: a
// coordinator that starts again gives each member of its records one session timeout to be heard of.
//
// An offset is visible, and its commit answered, only once its record is durable; so nobody reads what a crash could take back.
package group

// Code is what became of a request or of a part of it.
type Code uint8

// The outcomes. Each has one counterpart in Kafka's protocol.
const (
	OK                   Code = iota
	NotCoordinator            // another node or core coordinates the group
	Loading                   // its state is being read
	NotAvailable              // there is no telling now; try again
	InvalidGroup              // the id is not one
	InvalidSession            // the session timeout is out of bounds
	UnknownMember             // no such member: join anew
	MemberRequired            // join again with the id that was given
	FencedInstance            // another member has the instance id by now
	IllegalGeneration         // of another generation than the group's
	InconsistentProtocol      // nothing the member speaks is spoken by all others
	Rebalancing               // a rebalance is under way: join again
	SizeReached               // the group is full
	NotFound                  // no such group
	NonEmpty                  // it has members
	Subscribed                // it reads that topic
	MetadataTooLarge          // the commit's own words are too many
	Failed                    // something that should not happen did
)

// State of a group.
type State uint8

// The states.
const (
	Empty      State = iota // no members; offsets may be kept
	Preparing               // members are being waited for
	Completing              // the leader's assignment is
	Stable                  // every member has its assignment
	Dead                    // being removed, or not there
)

// String is Kafka's name for the state.
func (s State) String() string { return stateNames[s] }

var stateNames = [...]string{Empty: "Empty", Preparing: "PreparingRebalance", Completing: "CompletingRebalance", Stable: "Stable", Dead: "Dead"}
