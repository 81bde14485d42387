// Package must is the one place that panics: for our own bugs, never for what a disk, a peer or a client did. Call it as
// `if bad { must.Failf(…) }`; a helper that took the condition would allocate even when the condition holds.
package must

import "fmt"

// Failf stops the process with a message that says what invariant broke.
func Failf(format string, args ...any) {
	panic("BUG: " + fmt.Sprintf(format, args...))
}
