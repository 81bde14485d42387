package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// sentPartition is one row of `cluster partitions move --to-log-dir`.
type sentPartition struct {
	Broker    int32  `json:"broker"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      string `json:"from_log_dir"` // empty where nobody knows
	To        string `json:"to_log_dir"`
	Status    string `json:"status"`
	Error     string `json:"error,omitempty"`
}

// sendPartitions asks every broker that has one of the partitions to bring it to another log directory. They go on their way when it has answered; `cluster
// logdirs` shows them until they have arrived.
func sendPartitions(cmd *cobra.Command, args []string, flags moveFlags) error {
	set := kadm.TopicsSet{}
	for _, arg := range args {
		topic, partition, err := parsePartition(arg)
		if err != nil {
			return err
		}
		set.Add(topic, partition)
	}
	return admin(cmd, func(ctx context.Context, client *kadm.Client) error {
		list, err := whereTheyLie(ctx, client, set, flags.dir)
		if err != nil {
			return err
		}
		failed := 0
		for i := range list {
			p := &list[i]
			if p.Error == "" && p.Status == "" && !flags.dryRun {
				p.send(ctx, client)
			}
			switch {
			case p.Error != "":
				p.Status = "failed"
				failed++
			case p.Status == "":
				p.Status = "would be moved"
			}
		}
		err = writeList(cmd, []string{"BROKER", "TOPIC", "PARTITION", "FROM-LOG-DIR", "TO-LOG-DIR", "STATUS"}, list, func(p sentPartition) []string {
			status := p.Status
			if p.Error != "" {
				status = p.Error
			}
			return []string{strconv.Itoa(int(p.Broker)), p.Topic, strconv.Itoa(int(p.Partition)), p.From, p.To, status}
		})
		if err != nil {
			return err
		}
		return outcome(failed, len(list))
	})
}

// whereTheyLie makes a row of each replica. Of what lies nowhere there is one too.
func whereTheyLie(ctx context.Context, client *kadm.Client, set kadm.TopicsSet, to string) ([]sentPartition, error) {
	all, err := client.DescribeAllLogDirs(ctx, nil) // a partition there is not would fail the request
	if len(all) == 0 && err != nil {
		return nil, err
	}
	at := map[string]map[int32][]sentPartition{}
	for _, d := range all.Sorted() {
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			if p.IsFuture {
				return
			}
			row := sentPartition{Broker: d.Broker, Topic: p.Topic, Partition: p.Partition, From: d.Dir, To: to}
			if at[p.Topic] == nil {
				at[p.Topic] = map[int32][]sentPartition{}
			}
			at[p.Topic][p.Partition] = append(at[p.Topic][p.Partition], row)
		})
	}
	var list []sentPartition
	for _, topic := range set.Sorted() {
		for _, partition := range topic.Partitions {
			rows := at[topic.Topic][partition]
			if len(rows) == 0 {
				rows = []sentPartition{{Broker: -1, Topic: topic.Topic, Partition: partition, To: to, Error: "no log directory shows it"}}
			}
			list = append(list, rows...)
		}
	}
	return list, nil
}

// send asks its broker.
func (p *sentPartition) send(ctx context.Context, client *kadm.Client) {
	var req kadm.AlterReplicaLogDirsReq
	set := kadm.TopicsSet{}
	set.Add(p.Topic, p.Partition)
	req.Add(p.To, set)
	answers, err := client.AlterBrokerReplicaLogDirs(ctx, p.Broker, req)
	if err == nil {
		err = answers[p.Topic][p.Partition].Err
	}
	switch {
	case err != nil:
		p.Error = describeError(err, "")
	case p.From == p.To:
		p.Status = "stays there"
	default:
		p.Status = "on its way"
	}
}
