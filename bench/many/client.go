package many

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// answerMax is how long an answer may take before the broker counts as hung.
const answerMax = 2 * time.Minute

// client is one connection that speaks Kafka's frames, one request at a time.
type client struct {
	net.Conn
	format *kmsg.RequestFormatter
	last   int32 // correlation id
}

func dial(tb testing.TB, addr string) *client {
	tb.Helper()
	conn, err := net.DialTimeout("tcp", addr, answerMax)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return &client{Conn: conn, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("many"))}
}

// ask sends a request of the version and returns its answer.
func (c *client) ask(req kmsg.Request, version int16) (kmsg.Response, error) {
	resp, _, err := c.exchange(req, version)
	return resp, err
}

// exchange is ask, and how many bytes the answer took.
func (c *client) exchange(req kmsg.Request, version int16) (kmsg.Response, int, error) {
	req.SetVersion(version)
	c.last++
	_ = c.SetDeadline(time.Now().Add(answerMax))
	if _, err := c.Write(c.format.AppendRequest(nil, req, c.last)); err != nil {
		return nil, 0, fmt.Errorf("send key %d: %w", req.Key(), err)
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, 0, fmt.Errorf("answer to key %d: %w", req.Key(), err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:]))
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, 0, fmt.Errorf("answer to key %d: %w", req.Key(), err)
	}
	if got := int32(binary.BigEndian.Uint32(body)); got != c.last {
		return nil, 0, fmt.Errorf("answer to request %d, want %d", got, c.last)
	}
	skip := 4
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		skip++ // no tags
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if err := resp.ReadFrom(body[skip:]); err != nil {
		return nil, 0, fmt.Errorf("answer to key %d: %w", req.Key(), err)
	}
	return resp, len(body), nil
}

// must is ask for what has to succeed.
func (c *client) must(tb testing.TB, req kmsg.Request, version int16) kmsg.Response {
	tb.Helper()
	resp, err := c.ask(req, version)
	if err != nil {
		tb.Fatal(err)
	}
	return resp
}

// takeOver takes a connection out of the runtime's hands.
func takeOver(conn *net.TCPConn) (int, error) {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dupErr error
	err = raw.Control(func(from uintptr) { fd, dupErr = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}
