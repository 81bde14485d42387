package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"

	"pinion/engine/config"
)

func newGroup(con *console) *cobra.Command {
	group := &cobra.Command{Use: "group", Aliases: []string{"groups"}, Short: "List, describe and delete consumer groups; move their offsets"}
	group.AddCommand(newGroupList(), newGroupDescribe(), newGroupLag(), newGroupSeek(con), newGroupDelete(con), newGroupDeleteOffsets(con))
	asGroup(group)
	return group
}

// knownGroups checks that the named groups exist: whoever mistypes one is told so rather than shown an empty one.
func knownGroups(ctx context.Context, client *kadm.Client, names []string) ([]string, error) {
	listed, err := client.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", reason(err))
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	for _, name := range names {
		if _, ok := listed[name]; !ok {
			existing := slices.Collect(maps.Keys(listed))
			if near := config.Nearest(name, existing); near != "" {
				return nil, fmt.Errorf("group %q does not exist\n  did you mean: %s", name, near)
			}
			return nil, fmt.Errorf("group %q does not exist; there are %d groups", name, len(existing))
		}
	}
	return names, nil
}
