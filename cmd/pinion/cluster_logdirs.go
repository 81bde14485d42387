package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// logDir is one row of `cluster logdirs`.
type logDir struct {
	Broker     int32  `json:"broker"`
	Dir        string `json:"log_dir"`
	Partitions int    `json:"partitions"`
	Size       int64  `json:"size_bytes"` // of the partitions
	Usable     int64  `json:"usable_bytes"`
	Total      int64  `json:"total_bytes"`
	Error      string `json:"error,omitempty"`
}

func newClusterLogDirs() *cobra.Command {
	return &cobra.Command{
		Use:   "logdirs",
		Short: "List log directories with their partitions and their room",
		Long:  "List the log directories of every broker, with their partitions and the room on their disks. One that is missing, or out of service after an error of its disk, shows that alone.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return admin(cmd, func(ctx context.Context, client *kadm.Client) error { return listLogDirs(ctx, cmd, client) })
		},
	}
}

func listLogDirs(ctx context.Context, cmd *cobra.Command, client *kadm.Client) error {
	all, err := client.DescribeAllLogDirs(ctx, nil)
	if len(all) == 0 && err != nil {
		return err
	}
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "log directories: %v\n", reason(err))
	}
	list := []logDir{}
	for _, d := range all.Sorted() {
		row := logDir{Broker: d.Broker, Dir: d.Dir, Usable: -1, Total: -1}
		if d.Err != nil {
			row.Error = describeError(d.Err, "")
		} else {
			row.Usable, row.Total = d.UsableBytes, d.TotalBytes
		}
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			row.Partitions++
			row.Size += p.Size
		})
		list = append(list, row)
	}
	return writeList(cmd, []string{"BROKER", "LOG-DIR", "PARTITIONS", "SIZE", "USABLE", "TOTAL", "ERROR"}, list, func(d logDir) []string {
		return []string{strconv.Itoa(int(d.Broker)), d.Dir, strconv.Itoa(d.Partitions), humanBytes(d.Size), humanBytes(d.Usable), humanBytes(d.Total), d.Error}
	})
}
