// Package many holds a broker to its promises where there is much of something: partitions, connections, members of groups, partitions in one fetch, bytes
// that are not in memory. Its tests start the real binary (bench/harness), speak to it in frames of their own so that ten thousand
// partitions cost the client little, and look at the process from outside: descriptors, mappings, memory of its own. In `go test` they are
// small; `make many` runs them at full size, where MANY_LONG is set, and prints what was measured. It owns no state, and refuses to judge by the clock where it is small: times are
// told, what is asserted is counted. At full size some sheets have a target, and miss it out loud.
package many
