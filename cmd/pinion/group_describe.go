package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// describedGroup is one group of `group describe`.
type describedGroup struct {
	Name        string         `json:"name"`
	State       string         `json:"state"`
	Protocol    string         `json:"protocol_type"`
	Balancer    string         `json:"balancer"`
	Coordinator int32          `json:"coordinator"`
	Lag         int64          `json:"lag"`
	Members     []groupMember  `json:"members"`
	Partitions  []groupReading `json:"partitions"`
}

// groupMember is one member.
type groupMember struct {
	ID         string `json:"id"`
	Instance   string `json:"instance,omitempty"`
	Client     string `json:"client"`
	Host       string `json:"host"`
	Partitions int    `json:"partitions"`
	Lag        int64  `json:"lag"`
}

// groupReading is how far the group has read one partition; -1 stands for what is not known.
type groupReading struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"`
	End       int64  `json:"end"`
	Lag       int64  `json:"lag"`
	Member    string `json:"member,omitempty"`
	Error     string `json:"error,omitempty"`
}

func newGroupDescribe() *cobra.Command {
	var summary, committed bool
	cmd := &cobra.Command{
		Use:   "describe GROUP...",
		Short: "Show groups: members, what each reads, and lag",
		Long: `Show the members of groups, the offsets committed for each partition and how many records are behind them. With -s the summary and the
members alone, with -c the committed offsets alone.`,
		Args: atLeast(1, "the group's name"),
		RunE: func(cmd *cobra.Command, names []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return describeGroups(ctx, cmd, client, names, summary, committed)
			})
		},
	}
	cmd.Flags().BoolVarP(&summary, "summary", "s", false, "only the summary and the members")
	cmd.Flags().BoolVarP(&committed, "committed", "c", false, "only the committed offsets")
	return cmd
}

func describeGroups(ctx context.Context, cmd *cobra.Command, client *kadm.Client, names []string, summary, committed bool) error {
	names, err := knownGroups(ctx, client, names)
	if err != nil {
		return err
	}
	lags, err := client.Lag(ctx, names...)
	if err != nil {
		return fmt.Errorf("lag: %w", reason(err))
	}
	var list []describedGroup
	for _, lag := range lags.Sorted() {
		if err := lag.Error(); err != nil {
			return fmt.Errorf("group %s: %w", lag.Group, reason(err))
		}
		list = append(list, describeGroup(&lag))
	}
	f, err := outputFormat(cmd)
	if err != nil {
		return err
	}
	if f != formatText {
		return writeList(cmd, nil, list, func(describedGroup) []string { return nil })
	}
	for i := range list {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		if err := writeGroup(cmd.OutOrStdout(), &list[i], summary, committed); err != nil {
			return err
		}
	}
	return nil
}

func describeGroup(lag *kadm.DescribedGroupLag) describedGroup {
	g := describedGroup{Name: lag.Group, State: lag.State, Protocol: lag.ProtocolType, Balancer: lag.Protocol, Coordinator: lag.Coordinator.NodeID,
		Lag: lag.Lag.Total(), Members: []groupMember{}, Partitions: []groupReading{}}
	owned, behind := map[string]int{}, map[string]int64{}
	for _, l := range lag.Lag.Sorted() {
		r := groupReading{Topic: l.Topic, Partition: l.Partition, Committed: l.Commit.At, End: l.End.Offset, Lag: l.Lag}
		if l.Member != nil {
			r.Member = l.Member.MemberID
			owned[r.Member]++
			behind[r.Member] += max(l.Lag, 0)
		}
		if l.Err != nil {
			r.Error = describeError(l.Err, "")
		}
		g.Partitions = append(g.Partitions, r)
	}
	for i := range lag.Members {
		m := &lag.Members[i]
		member := groupMember{ID: m.MemberID, Client: m.ClientID, Host: m.ClientHost, Partitions: owned[m.MemberID], Lag: behind[m.MemberID]}
		if m.InstanceID != nil {
			member.Instance = *m.InstanceID
		}
		g.Members = append(g.Members, member)
	}
	return g
}

func writeGroup(out io.Writer, g *describedGroup, summary, committed bool) error {
	if !committed {
		err := writeTable(out, nil, [][]string{
			{"GROUP", g.Name}, {"STATE", g.State}, {"PROTOCOL-TYPE", g.Protocol}, {"BALANCER", g.Balancer}, {"COORDINATOR", strconv.Itoa(int(g.Coordinator))},
			{"MEMBERS", strconv.Itoa(len(g.Members))}, {"LAG", strconv.FormatInt(g.Lag, 10)},
		})
		if err != nil {
			return err
		}
		if len(g.Members) > 0 {
			fmt.Fprintln(out)
			var rows [][]string
			for _, m := range g.Members {
				rows = append(rows, []string{m.ID, m.Instance, m.Client, m.Host, strconv.Itoa(m.Partitions), strconv.FormatInt(m.Lag, 10)})
			}
			if err := writeTable(out, []string{"MEMBER", "INSTANCE", "CLIENT", "HOST", "PARTITIONS", "LAG"}, rows); err != nil {
				return err
			}
		}
		if summary || len(g.Partitions) == 0 {
			return nil
		}
		fmt.Fprintln(out)
	}
	var rows [][]string
	for _, p := range g.Partitions {
		rows = append(rows, []string{p.Topic, strconv.Itoa(int(p.Partition)), count(p.Committed), count(p.End), count(p.Lag), p.Member, p.Error})
	}
	return writeTable(out, []string{"TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "ERROR"}, rows)
}
