//go:build !race

package harness

// Raced reports whether this program has the race detector.
const Raced = false
