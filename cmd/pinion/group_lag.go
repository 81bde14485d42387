package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// laggingGroup is one topic of one group in `group lag`.
type laggingGroup struct {
	Group      string `json:"group"`
	State      string `json:"state"`
	Members    int    `json:"members"`
	Topic      string `json:"topic"`
	Partitions int    `json:"partitions"` // of the topic: what has no offset yet is behind by all it holds
	Lag        int64  `json:"lag"`
	Most       int64  `json:"most"` // of one partition
	Unknown    int    `json:"unknown,omitempty"`
	Error      string `json:"error,omitempty"`
}

func newGroupLag() *cobra.Command {
	var behind bool
	cmd := &cobra.Command{
		Use:   "lag [GROUP...]",
		Short: "Show how many records groups are behind, by topic",
		Long: `Show how many records groups are behind in each topic they read or have offsets of, of all groups or of those that are named: all together, and in
the partition where it is most. ` + "`group describe`" + ` shows every partition.`,
		Example: "  pinion group lag\n  pinion group lag billing -o json\n  pinion group lag --behind",
		RunE: func(cmd *cobra.Command, names []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
				return lagOfGroups(ctx, cmd, client, names, behind)
			})
		},
	}
	cmd.Flags().BoolVar(&behind, "behind", false, "only where there is some")
	return cmd
}

func lagOfGroups(ctx context.Context, cmd *cobra.Command, client *kadm.Client, names []string, behind bool) error {
	if len(names) > 0 {
		var err error
		if names, err = knownGroups(ctx, client, names); err != nil {
			return err
		}
	}
	lags, err := client.Lag(ctx, names...)
	if err != nil {
		return fmt.Errorf("lag: %w", reason(err))
	}
	var list []laggingGroup
	failed, all := 0, 0
	for _, lag := range lags.Sorted() {
		all++
		if err := lag.Error(); err != nil {
			failed++
			list = append(list, laggingGroup{Group: lag.Group, State: lag.State, Error: describeError(err, "")})
			continue
		}
		for _, g := range lagByTopic(&lag) {
			if !behind || g.Lag > 0 || g.Unknown > 0 {
				list = append(list, g)
			}
		}
	}
	err = writeList(cmd, []string{"GROUP", "STATE", "MEMBERS", "TOPIC", "PARTITIONS", "LAG", "MOST", "ERROR"}, list, func(g laggingGroup) []string {
		return []string{g.Group, g.State, strconv.Itoa(g.Members), g.Topic, strconv.Itoa(g.Partitions), count(g.Lag), count(g.Most), g.Error}
	})
	if err != nil {
		return err
	}
	return outcome(failed, all)
}

// lagByTopic adds up the partitions of each topic. Where the lag of one is not known that is said, and it counts for nothing.
func lagByTopic(lag *kadm.DescribedGroupLag) []laggingGroup {
	byTopic := map[string]*laggingGroup{}
	for _, l := range lag.Lag.Sorted() {
		g := byTopic[l.Topic]
		if g == nil {
			g = &laggingGroup{Group: lag.Group, State: lag.State, Members: len(lag.Members), Topic: l.Topic}
			byTopic[l.Topic] = g
		}
		g.Partitions++
		if l.Err != nil || l.Lag < 0 {
			g.Unknown++
			if l.Err != nil {
				g.Error = describeError(l.Err, "")
			}
			continue
		}
		g.Lag += l.Lag
		g.Most = max(g.Most, l.Lag)
	}
	var list []laggingGroup
	for _, topic := range slices.Sorted(maps.Keys(byTopic)) {
		list = append(list, *byTopic[topic])
	}
	return list
}
