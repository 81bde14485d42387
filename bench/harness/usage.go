package harness

import "pinion/bench/machine"

// Usage is what a broker has used so far.
type Usage = machine.Usage

// Usage reads what the running process has used.
func (b *Broker) Usage() (Usage, error) { return machine.Of(b.Pid) }
