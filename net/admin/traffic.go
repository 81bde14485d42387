package admin

import (
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/listen"
)

// apiNames and errorNames are label values, made once: a scrape must not look 240 names up.
var (
	apiNames   = nameAPIs()
	errorNames = nameErrors()
)

func nameAPIs() (names [APIKeys]string) {
	for key := range names {
		names[key] = kmsg.NameForKey(int16(key))
		if names[key] == "Unknown" {
			names[key] = strconv.Itoa(key) // one name for several keys would be one series written twice
		}
	}
	names[APIKeys-1] = "other"
	return names
}

func nameErrors() (names [ErrorCodes]string) {
	for i := range names {
		code := int16(i - 1)
		switch known := kerr.TypedErrorForCode(code); {
		case code == 0:
			names[i] = "NONE"
		case known == nil || (code != -1 && known == kerr.UnknownServerError):
			names[i] = strconv.Itoa(int(code))
		default:
			names[i] = known.Message
		}
	}
	return names
}

// writeTraffic writes requests by API, responses by error, and socket bytes. Series that never counted are left out.
func writeTraffic(p *page, total *ShardStats) {
	p.open("pinion_requests_total", counter, "Requests answered.")
	for key, n := range total.Requests {
		if n > 0 {
			p.count(n, "api", apiNames[key])
		}
	}
	p.open("kafka_network_requestmetrics_requests_total", counter, "Requests answered, under Kafka's name.")
	for key, n := range total.Requests {
		if n > 0 {
			p.count(n, "request", apiNames[key])
		}
	}
	p.open("pinion_response_errors_total", counter, "Error codes sent.")
	for i, n := range total.Errors {
		if n > 0 && i != ErrorIndex(0) {
			p.count(n, "error", errorNames[i])
		}
	}
	p.open("pinion_socket_received_bytes_total", counter, "Bytes read from clients, frames included.")
	p.count(total.SocketBytesIn)
	p.open("pinion_socket_sent_bytes_total", counter, "Bytes written to clients, frames included.")
	p.count(total.SocketBytesOut)
	p.open("pinion_request_seconds", histogram, "Time from a request's last byte read to its answer's first byte written.")
	p.buckets(&total.ProduceTime, "api", "Produce")
	p.buckets(&total.FetchTime, "api", "Fetch")
}

// writeConnections writes what came in through the door and what did not.
func writeConnections(p *page, total *ShardStats, listener string) {
	p.open("kafka_server_socket_server_metrics_connection_count", gauge, "Connections open.")
	p.count(total.Connections, "listener", listener)
	p.open("pinion_connections_accepted_total", counter, "Connections accepted.")
	p.count(total.ConnectionsAccepted)
	p.open("pinion_connections_closed_total", counter, "Connections closed.")
	p.count(total.ConnectionsClosed)
	p.open("pinion_connections_moved_total", counter, "Times a connection went to the shard that it asks.")
	p.count(total.ConnectionsMoved)
	p.open("pinion_connections_refused_total", counter, "Connections closed at once because of a limit.")
	p.count(total.RefusedTotal, "limit", "max.connections")
	p.count(total.RefusedPerIP, "limit", "max.connections.per.ip")
	p.count(total.RefusedExhausted, "limit", "descriptors")
	p.open("pinion_throttled_connections_total", counter, "Times a connection was held back because its client had used up a quota.")
	p.count(total.Throttled)
	p.open("pinion_throttled_seconds_total", counter, "For how long connections were held back by quotas, in all.")
	p.sample(float64(total.ThrottledNanos) / 1e9)
	p.open("pinion_listener_rejects_total", counter, "Connections closed because of what they sent first.")
	for k, n := range total.Rejects {
		p.count(n, "reason", listen.Kind(k).Reason())
	}
}
