//go:build !checks

package shard

// Owner marks what one shard owns. It is the first field of an owned struct; in release builds it is empty and free.
type Owner struct{}

// Own makes the mark for the shard that runs the turn.
func Own(*Turn) Owner { return Owner{} }

// Check stops the process, in the checks build, when another shard's turn touches the value.
func (Owner) Check(*Turn) {}
