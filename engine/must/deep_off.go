//go:build !checks

package must

// Deep is false in release builds; code behind it compiles to nothing.
const Deep = false
