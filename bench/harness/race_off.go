//go:build !race

package harness

// raced reports whether this program has the race detector.
const raced = false
