// Package machine tells what a measurement ran on and what it used: processor time and memory of processes, of the whole machine,
// the kernel and its settings, the broker's effective configuration. It also makes the conditions that change results by
// factors: memory that was touched once, a network of our own with a fixed congestion control.
//
// It owns nothing, and changes outside the process that calls it only what it undoes: memory it holds for a
// moment, the list of congestion controls that namespaces may choose from.
package machine
