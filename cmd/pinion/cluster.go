package main

import "github.com/spf13/cobra"

func newCluster(con *console) *cobra.Command {
	cluster := &cobra.Command{Use: "cluster", Short: "Where partitions live, and moving them between shards; log directories; settings of brokers; what clients may use"}
	cluster.AddCommand(newClusterPartitions(con), newClusterLogDirs(), newClusterQuotas(), newClusterConfig(con))
	asGroup(cluster)
	return cluster
}

func newClusterPartitions(con *console) *cobra.Command {
	partitions := &cobra.Command{
		Use: "partitions", Aliases: []string{"partition"}, Short: "List partitions with their shards; move them",
		Long: `List partitions with their shards, and move them to another shard of their node. Kafka's protocol knows no shards, so these verbs ask the
admin address of the node (pinion.admin).`,
	}
	partitions.PersistentFlags().String("admin", environment(con, "PINION_ADMIN", "127.0.0.1:9644"),
		"admin address of the node, host:port (env PINION_ADMIN)")
	partitions.AddCommand(newPartitionsList(con), newPartitionsMove())
	asGroup(partitions)
	return partitions
}
