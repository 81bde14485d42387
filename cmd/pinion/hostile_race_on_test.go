//go:build race

package main

// slowdown is what the race detector costs in memory. Times mean nothing with it and are only reported.
const slowdown = 6
