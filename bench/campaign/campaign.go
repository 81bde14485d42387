package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"pinion/bench/harness"
	"pinion/bench/limit"
	"pinion/bench/load"
	"pinion/bench/machine"
	"pinion/bench/measure"
)

// campaign is one run of the command.
type campaign struct {
	options
	ledger *ledger
	began  time.Time

	running map[string]*subject // by peer; for the steady rows
}

// rowSets are the rows by the name of their set.
var rowSets = map[string]func() []row{"main": steadyRows, "fsync": durableRows, "life": lifeRows, "tools": toolRows, "omb": shapeRows}

// setNames is their order in tables.
var setNames = []string{"main", "fsync", "tools", "omb", "life"}

// rows are those of a campaign, in order.
func rows(o options) (list []row) {
	for _, set := range setNames {
		list = append(list, rowsOf(o, set)...)
	}
	return list
}

// rowsOf are those of one set.
func rowsOf(o options, set string) (list []row) {
	if !slices.Contains(o.sets, set) {
		return nil
	}
	for _, r := range rowSets[set]() {
		if (!o.quick || r.quick) && o.only.MatchString(r.name) {
			list = append(list, r)
		}
	}
	return list
}

// measure goes through everything that is not in the ledger yet.
func (c *campaign) measure(ctx context.Context) error {
	if c.binary == "" {
		path, err := harness.Binary()
		if err != nil {
			return err
		}
		c.binary = path
	}
	c.running = map[string]*subject{}
	if err := c.prepare(ctx); err != nil {
		return err
	}
	for _, set := range setNames {
		if set == "life" { // its brokers have the machine for themselves
			if err := c.close(); err != nil {
				return err
			}
		}
		for round := 1; round <= c.rounds; round++ {
			if late, err := c.round(ctx, rowsOf(c.options, set), round); err != nil || late {
				return err
			}
		}
	}
	return nil
}

// sides are the peers of a row, and the loops of the machine it is judged by: each has its turn beside the others, because a machine is faster at one time
// than at another.
func (c *campaign) sides(r row) (list []string) {
	for _, peer := range c.peers {
		if peer != pinionCores || r.whole == nil {
			list = append(list, peer)
		}
	}
	for _, loop := range []string{limitLoop, answerLoop} {
		if c.limits && r.loops()[loop] != "" {
			list = append(list, loop)
		}
	}
	return list
}

// round measures each row once for each side, as far as it is not known.
func (c *campaign) round(ctx context.Context, list []row, round int) (late bool, err error) {
	for _, r := range list {
		sides := c.sides(r)
		for i := range sides {
			side := sides[(i+round)%len(sides)] // the one that begins changes with the round
			if c.ledger.has(r.name, side, round) {
				continue
			}
			if c.late() {
				fmt.Printf("stopped after %v, as the budget says; run again to go on\n", time.Since(c.began).Round(time.Second))
				return true, nil
			}
			if err := c.once(ctx, r, side, round); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

func (c *campaign) late() bool { return c.budget > 0 && time.Since(c.began) > c.budget }

// once measures one round of a row for one side. A row that fails is written down as failed; the others go on.
func (c *campaign) once(ctx context.Context, r row, side string, round int) error {
	unix.Sync() // what the last one has left to be written is not this one's
	figures, err := c.figures(ctx, r, side)
	if ctx.Err() != nil {
		return ctx.Err() // not the row's fault, and not its figures
	}
	e := entry{Row: r.name, Peer: side, Round: round, Figures: figures}
	line := fmt.Sprintf("%-28s %-12s %d  ", r.name, side, round)
	if err != nil {
		e.Error = err.Error()
		fmt.Println(line + "failed: " + firstLine(e.Error))
	} else {
		names := append([]string{r.figure}, r.also...)
		if r.loops()[side] != "" {
			for i, name := range names {
				names[i] = loopFigure(name)
			}
		}
		fmt.Println(line + describe(figures, names))
	}
	return c.ledger.add(e)
}

func (c *campaign) figures(ctx context.Context, r row, peer string) (measure.Figures, error) {
	if loop := r.loops()[peer]; loop != "" {
		return c.loop(ctx, loop)
	}
	if r.whole != nil {
		return r.whole(ctx, c, peer)
	}
	s := c.running[peer]
	if s == nil {
		var err error
		if s, err = c.start(ctx, peer, filepath.Join(c.data, peer)); err != nil {
			return nil, err
		}
		c.running[peer] = s
		if err := c.heatUp(ctx, s); err != nil {
			return nil, err
		}
		if err := c.note(ctx, s); err != nil {
			return nil, err
		}
	}
	figures, err := r.steady(ctx, c, s, r)
	if err != nil && ctx.Err() == nil && s.client.Ping(ctx) != nil { // it died: the next row gets a new one
		delete(c.running, peer)
		err = errors.Join(err, s.kill(), os.RemoveAll(s.dir))
	}
	return figures, err
}

// heatSlice is how much load is measured at a time while a JVM warms up.
const heatSlice = 3_000_000_000

// heatUp loads a JVM until its compiler has seen the code; what each slice cost is kept, the first being the cold figure.
func (c *campaign) heatUp(ctx context.Context, s *subject) error {
	if s.name != kafka {
		return nil
	}
	p := load.Produce{Connections: 4, InFlight: 4, Shape: large, Acks: 1}
	for done, slice := int64(0), 1; done < c.heat; done, slice = done+heatSlice, slice+1 {
		bytes := min(heatSlice, c.heat-done)
		err := s.withTopic(ctx, partitions, nil, func(target load.Target) error {
			p.Target, p.Requests = target, bytes/int64(large.Payload())
			r, err := measure.Load(ctx, s.client, load.Plan{Produce: &p}, measure.Broker{Pids: s.pids()}, nil)
			if err != nil {
				return err
			}
			figures := r.Figures()
			fmt.Printf("%-28s %-7s %d  %s\n", "warming up", s.name, slice, describe(figures, []string{perGB, "produce_mb_per_s"}))
			return c.ledger.add(entry{Row: "warming-up", Peer: s.name, Round: slice, Figures: figures})
		})
		if err != nil {
			return fmt.Errorf("warm %s up: %w", s.name, err)
		}
	}
	return nil
}

// prepare makes and writes down the conditions.
func (c *campaign) prepare(ctx context.Context) error {
	e := machine.Look(c.data)
	if machine.InOwnNetwork() {
		e.Remember("network namespace of its own; every socket uses %s", e.Congestion)
	} else {
		e.Remember("no network namespace of its own: the generator's sockets use %s, a broker's use %s unless it asks otherwise", load.Congestion, e.Congestion)
	}
	if c.touch {
		written, err := machine.TouchMemory(ctx)
		if err != nil {
			return err
		}
		e.Remember("%.1f GB of free memory were used once before measuring", float64(written)/1e9)
	} else {
		e.Remember("memory was not touched before measuring: in a guest, first use of a page costs extra")
	}
	if err := machine.SpreadFolders(c.data); err != nil {
		e.Remember("%v: where the file system is ext4, files are made more slowly beside those that were just deleted", err)
	} else {
		e.Remember("each broker's data lies in block groups of its own (chattr +T), none of which has inodes that were just deleted")
	}
	return c.ledger.addSession(session{Time: c.began.UTC(), Commit: commit(), Environment: e, Versions: map[string]string{}, Configs: map[string][]string{},
		Settings: map[string]string{"rounds": fmt.Sprint(c.rounds), "duration": c.seconds.String(), "warmup": c.warmup.String(),
			"shards": fmt.Sprint(c.shards), "partitions": fmt.Sprint(partitions), "peers": strings.Join(c.peers, ","), "scale": fmt.Sprint(c.scale), "restart bytes": fmt.Sprint(c.restartBytes)}})
}

// loop measures a limit of the machine.
func (c *campaign) loop(ctx context.Context, name string) (measure.Figures, error) {
	specs := limit.Specs(c.shards, c.data)
	i := slices.IndexFunc(specs, func(s limit.Spec) bool { return s.Name == name })
	f, err := limit.Run(ctx, []string{c.binary, "bench", "limit-child"}, specs[i], limit.Timing{Warmup: c.warmup, Duration: c.seconds})
	if err != nil {
		return nil, err
	}
	return f.Figures(), nil
}

// close ends the brokers that run and removes their data.
func (c *campaign) close() (err error) {
	for _, s := range c.running {
		err = errors.Join(err, s.end(), os.RemoveAll(s.dir))
	}
	clear(c.running)
	return err
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
