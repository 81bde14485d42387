package main

import "github.com/spf13/cobra"

func newTopic(con *console) *cobra.Command {
	topic := &cobra.Command{Use: "topic", Aliases: []string{"topics"}, Short: "Create, list, describe, alter, trim and delete topics; produce and consume records"}
	topic.AddCommand(newTopicCreate(), newTopicList(), newTopicDescribe(), newTopicAlter(), newTopicAddPartitions(), newTopicTrim(con), newTopicDelete(con), newProduce(con), newConsume(con))
	asGroup(topic)
	return topic
}
