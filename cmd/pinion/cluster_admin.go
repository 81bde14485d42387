package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	httpadmin "pinion/net/admin"
)

// adminPageMax bounds what the admin server may answer: a million partitions with the longest names fit.
const adminPageMax = 1 << 30

// adminClient asks one node's admin server.
type adminClient struct {
	address string
	http    http.Client
}

func newAdminClient(cmd *cobra.Command) (*adminClient, error) {
	address, err := cmd.Flags().GetString("admin")
	if err != nil {
		return nil, err
	}
	address = strings.TrimSuffix(strings.TrimPrefix(address, "http://"), "/")
	if address == "" || strings.ContainsAny(address, "/ ?#@") {
		return nil, usagef("--admin %q: want host:port, as in 127.0.0.1:9644", address)
	}
	return &adminClient{address: address, http: http.Client{Timeout: adminTimeout}}, nil
}

// placedNode is the answer of /v1/partitions.
type placedNode struct {
	httpadmin.Node
	Partitions []httpadmin.Placed `json:"partitions"`
}

// partitions asks where the partitions of the named topics, or of all, live.
func (c *adminClient) partitions(ctx context.Context, topics []string) (*placedNode, error) {
	node := &placedNode{}
	return node, c.call(ctx, http.MethodGet, "/v1/partitions?"+url.Values{"topic": topics}.Encode(), nil, node)
}

// move gives a partition to a shard.
func (c *adminClient) move(ctx context.Context, topic string, partition, shard int32) (*httpadmin.Moved, error) {
	moved := &httpadmin.Moved{}
	body := fmt.Appendf(nil, `{"shard": %d}`, shard)
	path := "/v1/partitions/" + url.PathEscape(topic) + "/" + strconv.Itoa(int(partition))
	return moved, c.call(ctx, http.MethodPut, path, body, moved)
}

// call asks once. What the server refuses comes back in its own words.
func (c *adminClient) call(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.address+path, bytes.NewReader(body))
	if err != nil {
		return usagef("--admin %s: %v", c.address, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var refused *url.Error
		if errors.As(err, &refused) {
			err = refused.Err
		}
		return fmt.Errorf("no admin server answers at %s: %w\n  name the node's pinion.admin with --admin", c.address, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, adminPageMax))
	if err != nil {
		return fmt.Errorf("answer of %s: %w", c.address, err)
	}
	if resp.StatusCode != http.StatusOK {
		return problem(c.address, resp.Status, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s does not answer like a pinion node: %w", c.address, err)
	}
	return nil
}

func problem(address, status string, text []byte) error {
	var p httpadmin.Problem
	switch {
	case json.Unmarshal(text, &p) != nil || p.Message == "":
		return fmt.Errorf("%s does not answer like a pinion node: %s", address, status)
	case p.Hint != "":
		return fmt.Errorf("%s\n  %s", p.Message, p.Hint)
	}
	return errors.New(p.Message)
}

// offsetsWait is how long a list waits for offsets, which are worth having and not worth failing for.
const offsetsWait = 10 * time.Second
