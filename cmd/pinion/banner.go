package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"strings"
	"time"

	"pinion/engine/broker"
	"pinion/engine/config"
	"pinion/engine/placement"
	"pinion/net/front"
)

// banner says what listens where and how this node works, one fact a line, the ready line last.
func banner(out io.Writer, cfg *config.Broker, b *broker.Broker, doors *front.Front, adminURL string, took time.Duration) {
	fmt.Fprintf(out, "pinion %s (%s, %s/%s)  node %d, cluster %s, data in %s\n",
		version, runtime.Version(), runtime.GOOS, runtime.GOARCH, cfg.NodeID, b.Cluster(), strings.Join(cfg.LogDirs, ", "))
	first := ""
	for i, l := range doors.Listeners {
		a := doors.Advertised[i]
		address := net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port)))
		if first == "" {
			first = address
		}
		fmt.Fprintf(out, "  kafka       %-10s listen %s   clients use %s\n", a.Name, l.Addr, address)
		fmt.Fprintf(out, "  dealing     connections of %s go to shards by %s\n", a.Name, doors.Rungs[i].Name)
	}
	advertises(out, cfg, b, doors)
	if adminURL != "" {
		fmt.Fprintf(out, "  admin       %s   /livez /readyz /metrics\n", adminURL)
	}
	fmt.Fprintf(out, "  shards      %d on cpus %s\n", b.Shards.Len(), cpuList(b.CPUs))
	image := b.Control.Image()
	fmt.Fprintf(out, "  topics      %d with %d partitions; auto-create %s\n", image.TopicCount(), image.PartitionCount(), onOff(cfg.AutoCreateTopics))
	fmt.Fprintf(out, "  durability  %s\n", durability(cfg.Pinion.Durability))
	fmt.Fprintf(out, "ready in %d ms - try:  pinion topic create orders -p 3%s   |   Ctrl-C stops, data stays\n", took.Milliseconds(), brokersFlag(first))
}

// advertises says whom clients see as brokers, and where.
func advertises(out io.Writer, cfg *config.Broker, b *broker.Broker, doors *front.Front) {
	shards := b.Shards.Len()
	if doors.Naming == placement.NodesAreBrokers {
		fmt.Fprintf(out, "  advertise   node: one broker, id %d; any connection reaches every shard\n", cfg.NodeID)
		return
	}
	fmt.Fprintf(out, "  advertise   core: each shard is a broker, id %s; the ports above are for bootstrap\n",
		numbers(int(doors.Naming.Broker(cfg.NodeID, 0)), shards))
	for i, l := range doors.Listeners {
		a := doors.Advertised[i]
		fmt.Fprintf(out, "  cores       %-10s listen %s:%s   clients use %s:%s\n", a.Name,
			bracketed(l.Addr.Addr().String()), numbers(l.Port()+1, shards), bracketed(a.Host), numbers(int(a.Core(0).Port), shards))
	}
}

// numbers writes so many numbers from the first on, such as 9093-9096.
func numbers(first, count int) string {
	if count == 1 {
		return strconv.Itoa(first)
	}
	return fmt.Sprintf("%d-%d", first, first+count-1)
}

// bracketed is a host as it stands before a port.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// durability says what an acknowledgement means for topics that do not say it themselves.
func durability(d config.Durability) string {
	if d == config.DurabilityFsync {
		return "fsync: acks=all waits until a power cut cannot take the record"
	}
	return "memory: acks=all waits for the page cache; power loss loses records not yet written back"
}

// brokersFlag is what a client verb needs to find this broker, if its default would not.
func brokersFlag(address string) string {
	if address == "localhost:9092" || address == "127.0.0.1:9092" {
		return ""
	}
	return " --brokers " + address
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// cpuList writes processor numbers as ranges, such as 0-3,8.
func cpuList(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, strconv.Itoa(cpus[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", cpus[i], cpus[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
