package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/engine/config"
)

// adminTimeout bounds every verb that asks and prints; produce and consume run until they are done.
const (
	adminTimeout = 30 * time.Second
	pingTimeout  = 5 * time.Second
)

// seedBrokers reads --brokers.
func seedBrokers(cmd *cobra.Command) (seeds []string, err error) {
	list, err := cmd.Flags().GetString("brokers")
	if err != nil {
		return nil, err
	}
	for seed := range strings.SplitSeq(list, ",") {
		if seed = strings.TrimSpace(seed); seed != "" {
			seeds = append(seeds, seed)
		}
	}
	if len(seeds) == 0 {
		return nil, usagef("--brokers names no broker")
	}
	return seeds, nil
}

// newClient connects to --brokers and makes sure that one of them answers, because franz-go otherwise retries in silence.
func newClient(cmd *cobra.Command, options ...kgo.Opt) (*kgo.Client, error) {
	seeds, err := seedBrokers(cmd)
	if err != nil {
		return nil, err
	}
	options = append([]kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.ClientID("pinion-cli"), kgo.DialTimeout(pingTimeout),
		kgo.RequestRetries(3), kgo.RetryTimeout(10 * time.Second),
		kgo.MetadataMinAge(100 * time.Millisecond), // a topic just created is worth asking about again soon
	}, options...)
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), pingTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("no broker answers at %s: %w", strings.Join(seeds, ","), reason(err))
	}
	return client, nil
}

// reason unwraps to the innermost error that says something.
func reason(err error) error {
	var kafka *kerr.Error
	if errors.As(err, &kafka) {
		return kafka
	}
	return err
}

// describeError is an error as a table cell: Kafka's name and what it means, or the broker's own message.
func describeError(err error, message string) string {
	var kafka *kerr.Error
	if !errors.As(err, &kafka) {
		return err.Error()
	}
	if message == "" {
		message = kafka.Description
	}
	return kafka.Message + ": " + message
}

// admin runs one verb of an administrator with a client and a deadline.
func admin(cmd *cobra.Command, verb func(ctx context.Context, client *kadm.Client) error) error {
	if _, err := outputFormat(cmd); err != nil {
		return err
	}
	client, err := newClient(cmd)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), adminTimeout)
	defer cancel()
	return verb(ctx, kadm.NewClient(client))
}

// selectTopics gives the details of the named topics, or with match of all whose name the expression describes completely, in
// order of name. A name that does not exist is an error that suggests one that does.
func selectTopics(ctx context.Context, client *kadm.Client, names []string, match bool) ([]kadm.TopicDetail, error) {
	all, err := client.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", reason(err))
	}
	var list []kadm.TopicDetail
	if match {
		for _, pattern := range names {
			if _, err := regexp.Compile(pattern); err != nil {
				return nil, usagef("%v", err)
			}
		}
		expression := regexp.MustCompile("^(?:" + strings.Join(names, "|") + ")$")
		for _, detail := range all.Sorted() {
			if expression.MatchString(detail.Topic) {
				list = append(list, detail)
			}
		}
		return list, nil
	}
	names = append([]string(nil), names...)
	sort.Strings(names)
	for i, name := range names {
		if i > 0 && names[i-1] == name {
			continue
		}
		detail, ok := all[name]
		if !ok {
			return nil, unknownTopic(name, all.Names())
		}
		list = append(list, detail)
	}
	return list, nil
}

func unknownTopic(name string, existing []string) error {
	if near := config.Nearest(name, existing); near != "" {
		return fmt.Errorf("topic %q does not exist\n  did you mean: %s", name, near)
	}
	return fmt.Errorf("topic %q does not exist\n  create it with: pinion topic create %s", name, name)
}
