package hostile

import (
	"fmt"
	"io"
	"text/tabwriter"

	"pinion/net/kafka/wire"
)

// outcomes counts the frames of one key.
type outcomes struct {
	answered, closed, silent int64
}

func (o *outcomes) frames() int64 { return o.answered + o.closed + o.silent }

func (o *outcomes) add(p *outcomes) {
	o.answered += p.answered
	o.closed += p.closed
	o.silent += p.silent
}

// tally counts what became of frames. Only frames the broker met are in the keys' rows.
type tally struct {
	keys       [len(wire.Keys) + 1]outcomes // in the order of wire.Keys, and all others
	unseen     int64                        // behind a frame that ended its connection
	abandoned  int64                        // their sender left before anything could become of them
	halfClosed int64                        // connections ended by both sides in turn
}

func (t *tally) of(key int16) *outcomes {
	for i := range wire.Keys {
		if wire.Keys[i].Key == key {
			return &t.keys[i]
		}
	}
	return &t.keys[len(wire.Keys)]
}

func (t *tally) add(o *tally) {
	for i := range t.keys {
		t.keys[i].add(&o.keys[i])
	}
	t.unseen += o.unseen
	t.abandoned += o.abandoned
	t.halfClosed += o.halfClosed
}

func (t *tally) total() (sum outcomes) {
	for i := range t.keys {
		sum.add(&t.keys[i])
	}
	return sum
}

func (t *tally) write(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "frames\tanswered\tclosed\tsilent\t key\t")
	row := func(name string, o *outcomes) {
		fmt.Fprintf(table, "%d\t%d\t%d\t%d\t %s\t\n", o.frames(), o.answered, o.closed, o.silent, name)
	}
	for i := range wire.Keys {
		row(wire.Keys[i].Name, &t.keys[i])
	}
	row("none, or not served", &t.keys[len(wire.Keys)])
	sum := t.total()
	row("all", &sum)
	_ = table.Flush()
	fmt.Fprintf(out, "%d more were behind a frame that ended its connection, %d were left by their sender; %d connections ended by a half-close\n",
		t.unseen, t.abandoned, t.halfClosed)
}

func (f fate) String() string { return [...]string{"answered", "refused", "silent", "long poll"}[f] }
