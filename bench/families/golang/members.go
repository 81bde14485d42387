package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"
)

// groups is what a client library does with consumer groups.
type groups interface {
	// join makes a member that works until it is ended: it notes each record before it commits it.
	join(c *command, to *notes) (member, error)
	lag(ctx context.Context, c *command) ([]int64, error)
	groups(ctx context.Context) ([]string, error)
	describeGroup(ctx context.Context, group string) (state string, members int, err error)
	setOffset(ctx context.Context, c *command) error
	deleteOffset(ctx context.Context, c *command) error
	deleteGroup(ctx context.Context, group string) error
}

// member is a member of a group that was joined.
type member interface {
	pause() error
	resume() error
	leave() error
}

// joined is the member of this process.
var joined member

// notes is the file of the records that a member was handed. What is written there is there even when the process is killed.
type notes struct {
	mu   sync.Mutex // guards file; some clients hand out each partition by itself
	file *os.File
}

func (n *notes) note(topic string, partition int32, offset int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := fmt.Fprintf(n.file, "%s %d %d\n", topic, partition, offset); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// session is how long a member may be silent, and how often it is not.
func (c *command) session() (timeout, heartbeat time.Duration) {
	timeout = time.Duration(c.At) * time.Millisecond
	return timeout, timeout / 10
}

// runGroups runs a command that has to do with groups; done is false if it has not.
func runGroups(ctx context.Context, c client, cmd *command) (answer any, done bool, err error) {
	answer, done = struct{}{}, true
	switch cmd.Op {
	case "join":
		var to notes
		if to.file, err = os.OpenFile(cmd.File, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644); err == nil {
			joined, err = c.join(cmd, &to)
		}
	case "pause":
		err = joined.pause()
	case "resume":
		err = joined.resume()
	case "leave":
		err = joined.leave()
	case "lag":
		var lag []int64
		lag, err = c.lag(ctx, cmd)
		answer = map[string]any{"lag": lag}
	case "groups":
		var list []string
		list, err = c.groups(ctx)
		answer = map[string]any{"groups": list}
	case "describe_group":
		var state string
		var members int
		state, members, err = c.describeGroup(ctx, cmd.Group)
		answer = map[string]any{"state": state, "members": members}
	case "set_offset":
		err = c.setOffset(ctx, cmd)
	case "delete_offset":
		err = c.deleteOffset(ctx, cmd)
	case "delete_group":
		err = c.deleteGroup(ctx, cmd.Group)
	default:
		return nil, false, nil
	}
	return answer, true, err
}
