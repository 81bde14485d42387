//go:build checks

package must

// Deep is true in the checks build: slow invariants are verified and returned memory is poisoned.
const Deep = true
