package listen

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Kind is what seems to speak on a new connection.
type Kind uint8

const (
	// Kafka: the bytes can be a frame length.
	Kafka Kind = iota
	// TLS: a handshake record of TLS 1.0 to 1.3. As a Kafka length it reads 369295616 and its neighbours.
	TLS
	// HTTP: a request line of HTTP/1.x, or HTTP/2's preface. "GET " reads 1195725856.
	HTTP
	// Proxy: the PROXY protocol of a load balancer, version 1 or 2.
	Proxy
	// Unknown: a length that is negative, or that no other row explains.
	Unknown

	kinds = iota
)

// KindCount is the number of kinds, for counters indexed by Kind.
const KindCount = int(kinds)

// Reason is the label of pinion_listener_rejects_total.
func (k Kind) Reason() string {
	switch k {
	case Kafka:
		return "kafka"
	case TLS:
		return "tls"
	case HTTP:
		return "http"
	case Proxy:
		return "proxy"
	default:
		return "unknown"
	}
}

// Sniff names what the first four bytes of a connection look like. A caller asks it only about a frame length it refuses anyway:
// "GET " is also a frame of 1.1 GiB, and a length within the limits is always Kafka's. Fewer than four bytes are Unknown.
func Sniff(first []byte) Kind {
	if len(first) < 4 {
		return Unknown
	}
	word := [4]byte(first)
	switch word {
	case [4]byte{'G', 'E', 'T', ' '}, [4]byte{'H', 'E', 'A', 'D'}, [4]byte{'P', 'O', 'S', 'T'}, [4]byte{'P', 'U', 'T', ' '},
		[4]byte{'D', 'E', 'L', 'E'}, [4]byte{'O', 'P', 'T', 'I'}, [4]byte{'P', 'A', 'T', 'C'}, [4]byte{'C', 'O', 'N', 'N'},
		[4]byte{'T', 'R', 'A', 'C'}, [4]byte{'P', 'R', 'I', ' '}:
		return HTTP
	case [4]byte{'P', 'R', 'O', 'X'}, [4]byte{'\r', '\n', '\r', '\n'}:
		return Proxy
	}
	if word[0] == 0x16 && word[1] == 3 && word[2] <= 4 {
		return TLS
	}
	if word[0]&0x80 != 0 {
		return Unknown
	}
	return Kafka
}

// Explain is the log line for a connection turned away because of its first four bytes: what happened and what to change. listener
// is Kafka's form, PLAINTEXT://host:port; secure is the TLS listener's, or empty; frameMax is socket.request.max.bytes.
func Explain(kind Kind, first []byte, peer, listener, secure string, frameMax int) string {
	switch kind {
	case TLS:
		advice := "use security.protocol=PLAINTEXT in the client (this broker has no TLS listener)"
		if secure != "" {
			advice = fmt.Sprintf("use listener %s or security.protocol=PLAINTEXT in the client", secure)
		}
		return fmt.Sprintf("%s spoke TLS to plaintext listener %s; %s", peer, listener, advice)
	case HTTP:
		return fmt.Sprintf("%s spoke HTTP to Kafka listener %s; health and metrics are on the admin address (pinion.admin)", peer, listener)
	case Proxy:
		return fmt.Sprintf("%s sent a PROXY protocol header to listener %s; turn send-proxy off in the load balancer", peer, listener)
	default:
		if len(first) < 4 {
			return fmt.Sprintf("%s closed after %d bytes on listener %s", peer, len(first), listener)
		}
		size := int32(binary.BigEndian.Uint32(first))
		return fmt.Sprintf("%s sent a frame of %d bytes to listener %s, larger than socket.request.max.bytes=%d or negative; "+
			"is it a Kafka client?", peer, size, listener, frameMax)
	}
}

// HTTP400 is the whole answer to an HTTP client on a Kafka listener; the connection is closed after it. adminURL is where the admin
// server answers, or empty when it is off.
func HTTP400(adminURL string) []byte {
	body := "This port speaks the Kafka protocol, not HTTP.\n"
	if adminURL != "" {
		body += "Health and metrics: " + strings.TrimSuffix(adminURL, "/") + "/healthz and /metrics\n"
	} else {
		body += "The admin server is off; set pinion.admin to turn it on.\n"
	}
	return fmt.Appendf(nil, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"+
		"Content-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
}
