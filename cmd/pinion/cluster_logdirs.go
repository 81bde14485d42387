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
	Size       int64  `json:"size_bytes"`          // of the partitions
	Arriving   int    `json:"arriving_partitions"` // on their way here, not among the others
	Arrived    int64  `json:"arriving_size_bytes"` // of these, what is here
	Lag        int64  `json:"arriving_offset_lag"` // and the offsets that are not
	Usable     int64  `json:"usable_bytes"`
	Total      int64  `json:"total_bytes"`
	Cordoned   bool   `json:"cordoned"` // takes no new partitions
	Error      string `json:"error,omitempty"`
}

func newClusterLogDirs() *cobra.Command {
	return &cobra.Command{
		Use:   "logdirs",
		Short: "List log directories with their partitions and their room",
		Long:  "List the log directories of every broker, with their partitions, those on their way there from another, and the room on their disks. One that is missing, or out of service after an error of its disk, shows that alone.",
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
		row.Cordoned = d.IsCordoned
		if d.Err != nil {
			row.Error = describeError(d.Err, "")
		} else {
			row.Usable, row.Total = d.UsableBytes, d.TotalBytes
		}
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if p.IsFuture {
				row.Arriving++
				row.Arrived += p.Size
				row.Lag += p.OffsetLag
				return
			}
			row.Partitions++
			row.Size += p.Size
		})
		list = append(list, row)
	}
	return writeList(cmd, []string{"BROKER", "LOG-DIR", "PARTITIONS", "SIZE", "ARRIVING", "USABLE", "TOTAL", "CORDONED", "ERROR"}, list, func(d logDir) []string {
		return []string{strconv.Itoa(int(d.Broker)), d.Dir, strconv.Itoa(d.Partitions), humanBytes(d.Size), d.arriving(), humanBytes(d.Usable), humanBytes(d.Total), strconv.FormatBool(d.Cordoned), d.Error}
	})
}

// arriving is the cell that says what is on its way here.
func (d *logDir) arriving() string {
	if d.Arriving == 0 {
		return "-"
	}
	return fmt.Sprintf("%d, lag %d", d.Arriving, d.Lag)
}
