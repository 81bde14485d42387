package listen

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// requestMax is Kafka's default socket.request.max.bytes.
const requestMax = 104857600

func TestSniff(t *testing.T) {
	tests := []struct {
		first string
		want  Kind
	}{
		{"\x00\x00\x00\x2a", Kafka},
		{"\x00\x00\x00\x00", Kafka},
		{"\x06\x40\x00\x00", Kafka}, // requestMax
		{"\x06\x40\x00\x01", Kafka}, // too large, but nothing else explains it
		{"\x16\x03\x01\x00", TLS},   // 369295616, the number in Kafka's log
		{"\x16\x03\x03\x02", TLS},
		{"\x16\x03\x05\x02", Kafka},
		{"GET ", HTTP}, {"HEAD", HTTP}, {"POST", HTTP}, {"PUT ", HTTP}, {"DELETE", HTTP}, {"OPTIONS", HTTP},
		{"PRI * HTTP/2.0", HTTP},
		{"PROXY TCP4", Proxy}, {"\r\n\r\n\x00\r\nQUIT\n", Proxy},
		{"\xff\xff\xff\xff", Unknown}, {"\x80\x2e\x01\x03", Unknown}, // negative; the second is SSLv2's hello
		{"GET", Unknown}, {"", Unknown},
	}
	for _, tt := range tests {
		if got := Sniff([]byte(tt.first)); got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.first, got.Reason(), tt.want.Reason())
		}
	}
}

func TestSniffRealClients(t *testing.T) {
	hello := func(c net.Conn) {
		_ = tls.Client(c, &tls.Config{ServerName: "broker", MinVersion: tls.VersionTLS12}).Handshake()
	}
	get := func(c net.Conn) {
		req, _ := http.NewRequest("GET", "http://broker:9092/metrics", nil)
		_ = req.Write(c)
	}
	for want, speak := range map[Kind]func(net.Conn){TLS: hello, HTTP: get} {
		here, there := net.Pipe()
		go speak(there)
		var first [4]byte
		if _, err := io.ReadFull(here, first[:]); err != nil {
			t.Fatal(err)
		}
		here.Close()
		if got := Sniff(first[:]); got != want {
			t.Errorf("%x: got %s, want %s", first, got.Reason(), want.Reason())
		}
	}
}

// No frame within the default limit may ever be taken for anything else: every length up to it, by its two leading bytes.
func TestSniffLeavesKafkaAlone(t *testing.T) {
	var b [4]byte
	for size := 0; size <= requestMax; size += 251 {
		binary.BigEndian.PutUint32(b[:], uint32(size))
		if got := Sniff(b[:]); got != Kafka {
			t.Fatalf("frame of %d bytes taken for %s", size, got.Reason())
		}
	}
}

func FuzzSniff(f *testing.F) {
	for _, seed := range []string{"", "GET ", "\x16\x03\x01\x00", "\x00\x00\x00\x10", "PROXY"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, first []byte) {
		kind := Sniff(first)
		if int(kind) >= KindCount || kind.Reason() == "" {
			t.Fatalf("kind %d", kind)
		}
		if len(first) >= 4 {
			if size := int32(binary.BigEndian.Uint32(first)); size >= 0 && size <= requestMax && kind != Kafka {
				t.Fatalf("frame of %d bytes taken for %s", size, kind.Reason())
			}
		}
		text := Explain(kind, first, "10.0.0.7:51544", "PLAINTEXT://:9092", "", requestMax)
		if text == "" || strings.Contains(text, "\n") {
			t.Fatalf("bad line %q", text)
		}
	})
}

func TestExplain(t *testing.T) {
	const peer, listener = "10.0.0.7:51544", "PLAINTEXT://:9092"
	tests := []struct {
		first, secure, want string
	}{
		{"\x16\x03\x01\x00", "SSL://:9093", "10.0.0.7:51544 spoke TLS to plaintext listener PLAINTEXT://:9092; use listener SSL://:9093 or security.protocol=PLAINTEXT in the client"},
		{"\x16\x03\x01\x00", "", "use security.protocol=PLAINTEXT in the client"},
		{"GET ", "", "pinion.admin"},
		{"PROXY", "", "send-proxy"},
		{"\x7f\x00\x00\x00", "", "2130706432 bytes to listener PLAINTEXT://:9092, larger than socket.request.max.bytes=104857600"},
		{"\xff\xff\xff\xff", "", "-1 bytes"},
		{"\x00", "", "closed after 1 bytes"},
	}
	for _, tt := range tests {
		got := Explain(Sniff([]byte(tt.first)), []byte(tt.first), peer, listener, tt.secure, requestMax)
		if !strings.Contains(got, tt.want) {
			t.Errorf("%q: %q does not say %q", tt.first, got, tt.want)
		}
	}
}

func TestHTTP400(t *testing.T) {
	for admin, want := range map[string]string{"http://127.0.0.1:9644": "http://127.0.0.1:9644/metrics", "http://h:1/": "http://h:1/healthz", "": "pinion.admin"} {
		raw := HTTP400(admin)
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if admin == "http://127.0.0.1:9644" {
			want = admin + "/healthz"
		}
		if resp.StatusCode != 400 || !resp.Close || !strings.Contains(string(body), want) || int64(len(body)) != resp.ContentLength {
			t.Errorf("admin %q: %d %q", admin, resp.StatusCode, body)
		}
	}
}
