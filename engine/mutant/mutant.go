// Package mutant names deliberate bugs, so that tests can be shown to catch them. In a build with the tag `mutant`, the environment
// variable PINION_MUTANT switches one of them on; without the tag On is a constant false, and what it guards is not compiled. `make mutants` runs, for each, the test that
// must catch it, with the mutant on and off.
//
// To add one: a constant with its name, a line in All, and `if mutant.On(mutant.Name)` where the bug would be. The package refuses to
// be used for anything else: no feature, no test seam.
package mutant

// Env names the environment variable that switches one mutant on.
const Env = "PINION_MUTANT"

// Mutant is one deliberate bug.
type Mutant struct {
	Name   string
	Breaks string // what goes wrong
	Dir    string // folder of the package whose test must catch it
	Test   string // that test
}

// The names.
const (
	RaftSendFirst     = "raft-send-first"
	AppliedApart      = "applied-apart"
	SnapshotNotSynced = "snapshot-not-synced"

	SyncRetried    = "sync-retried"
	CRCIsTheEnd    = "crc-is-the-end"
	NamesNotSynced = "names-not-synced"
	CommitJoined   = "commit-joined"
	WindowOfOne    = "window-of-one"
	DuplicateFirst = "duplicate-first"
	CutInPlace     = "cut-in-place"
	LeasesIgnored  = "leases-ignored"
	ShortSendfile  = "short-sendfile"
	FenceSpreads   = "fence-spreads"
	MadeAnew       = "made-anew"

	GroupCommitUnfenced = "group-commit-unfenced"
	GroupCommitEarly    = "group-commit-early"
	GroupSessionByWall  = "group-session-by-wall"
)

// All is the register.
var All = []Mutant{
	{RaftSendFirst, "a member sends what it promises before it is durable", "engine/quorum", "TestSimulation"},
	{AppliedApart, "the applied index is saved apart from the state it speaks of", "engine/quorum", "TestSimulation"},
	{SnapshotNotSynced, "the names of a snapshot and of the segment that follows it are not made durable", "engine/quorum", "TestSimulation"},

	{SyncRetried, "a sync that failed is tried again, and succeeds without having stored anything", "engine/partition", "TestFailedSyncFencesTheDirectory"},
	{CRCIsTheEnd, "a batch that does not pass its CRC is the end of the log, also below the recovery point", "disk/log", "TestDamageBelowRecoveryPoint"},
	{NamesNotSynced, "the names of new segments, folders, journal files and replaced files are not made durable", "engine/sim", "TestSeeds"},
	{CommitJoined, "what joins while a commit is under way counts as durable with it", "engine/partition", "TestWhatJoinsACommitWaitsForTheNext"},
	{WindowOfOne, "only the last batch of a producer is known again", "engine/producer", "TestWindowOfFive"},
	{DuplicateFirst, "a duplicate is acknowledged before its original is durable", "engine/partition", "TestAcknowledgementWaitsForTheJournal"},
	{CutInPlace, "a truncation cuts the file that readers have on loan", "disk/log", "TestTruncateUnderALease"},
	{LeasesIgnored, "a segment is closed and unmapped while readers have it on loan", "disk/log", "TestTruncateUnderALease"},
	{ShortSendfile, "what a short sendfile did not send counts as sent", "net/conn", "TestRepliesLeaveWholeThroughAShortSocket"},

	{FenceSpreads, "an error of one log directory takes what lies in the others offline too", "engine/sim", "TestSeeds"},
	{MadeAnew, "a partition whose log directory is missing is made anew in another", "engine/sim", "TestSeeds"},

	{GroupCommitUnfenced, "a group takes a commit of an old generation", "engine/group", "TestSimulation"},
	{GroupCommitEarly, "a commit is seen and answered before it is durable", "engine/group", "TestCommitIsSeenWhenItIsDurable"},
	{GroupSessionByWall, "sessions of members are counted by the wall clock", "engine/group", "TestSessionEndsByMonotonicTime"},
}
