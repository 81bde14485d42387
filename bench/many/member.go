package many

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sys/unix"
)

// member is one consumer of a group as its coordinator sees it: a connection that joins, asks for its part and says that it is alive. It
// reads nothing. It belongs to one goroutine at a time.
type member struct {
	*client
	group      string
	id         string
	generation int32
	leads      bool
	of         int    // members of the generation, known to who leads
	part       []byte // what it was assigned
	beat       []byte // its Heartbeat, encoded once
	answer     []byte // room for what that is answered with
}

// Of every member, as the Java client has them by default; what joining may take is beyond what a test of a thousand members wants.
const (
	sessionTimeout = 45 * time.Second
	beatEvery      = 3 * time.Second
	joinTimeout    = 5 * time.Minute
)

// Versions of the keys of groups that members speak.
const (
	joinVersion = 9
	syncVersion = 5
	beatVersion = 4
)

// enlist connects a member that is in no generation yet.
func enlist(tb testing.TB, addr, group string) *member {
	tb.Helper()
	return &member{client: dial(tb, addr), group: group}
}

// join makes the member one of a generation and gives it its part. A rebalance on the way begins it anew.
func (m *member) join(subscription, assignment []byte) error {
	for {
		resp, err := m.ask(m.joinRequest(subscription), joinVersion)
		if err != nil {
			return err
		}
		joined := resp.(*kmsg.JoinGroupResponse)
		m.id, m.generation = joined.MemberID, joined.Generation
		switch code := joined.ErrorCode; code {
		case 0:
		case kerr.MemberIDRequired.Code, kerr.RebalanceInProgress.Code:
			continue
		default:
			return fmt.Errorf("join group %s: %w", m.group, kerr.ErrorForCode(code))
		}
		m.leads, m.of = joined.LeaderID == m.id, len(joined.Members)
		req := kmsg.NewPtrSyncGroupRequest()
		req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
		req.ProtocolType, req.Protocol = joined.ProtocolType, joined.Protocol
		for i := range joined.Members {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = joined.Members[i].MemberID, assignment
			req.GroupAssignment = append(req.GroupAssignment, a)
		}
		if resp, err = m.ask(req, syncVersion); err != nil {
			return err
		}
		synced := resp.(*kmsg.SyncGroupResponse)
		switch code := synced.ErrorCode; code {
		case 0:
			m.part = synced.MemberAssignment
			m.prepare()
			return nil
		case kerr.RebalanceInProgress.Code:
		default:
			return fmt.Errorf("sync group %s: %w", m.group, kerr.ErrorForCode(code))
		}
	}
}

func (m *member) joinRequest(subscription []byte) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.ProtocolType = m.group, m.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(sessionTimeout.Milliseconds()), int32(joinTimeout.Milliseconds())
	for _, name := range []string{"range", "cooperative-sticky"} { // the Java client's default
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = name, subscription
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

// prepare encodes the member's Heartbeat.
func (m *member) prepare() {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.Generation = m.group, m.id, m.generation
	req.SetVersion(beatVersion)
	m.last++
	m.beat, m.answer = m.format.AppendRequest(nil, req, m.last), make([]byte, 64)
}

// heartbeat says that the member is alive and wants to hear that it is one.
func (m *member) heartbeat() error {
	_ = m.SetDeadline(time.Now().Add(answerMax))
	if _, err := m.Write(m.beat); err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	n, err := readFrame(m, m.answer)
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	if err := beatAnswered(m.answer[:n]); err != nil {
		return fmt.Errorf("heartbeat of %s: %w", m.id, err)
	}
	return nil
}

// beatAnswered is what the answer to a Heartbeat, without its length, says.
func beatAnswered(answer []byte) error {
	const code = 4 + 1 + 4 // behind the correlation id, no tags and the throttle time
	if len(answer) < code+2 {
		return fmt.Errorf("an answer of %d bytes", len(answer))
	}
	return kerr.ErrorForCode(int16(binary.BigEndian.Uint16(answer[code:])))
}

// pulse is a member that does nothing but say that it is alive, on a connection that nobody waits for: it reads the answer when it next speaks. Whoever
// waits for an answer is woken by who sends it, on loopback, and that is no work of a broker whose clients are elsewhere.
type pulse struct {
	fd    int
	who   string
	beat  []byte
	asked bool // an answer is due
}

// pulse takes the member's connection out of the runtime's hands, which waits for all it has.
func (m *member) pulse() (pulse, error) {
	fd, err := takeOver(m.Conn.(*net.TCPConn))
	return pulse{fd: fd, who: m.id, beat: m.beat}, err
}

// say reads the answer to the last heartbeat, which must be there, and sends the next.
func (p *pulse) say() error {
	if p.asked {
		var b [64]byte
		n, err := unix.Read(p.fd, b[:])
		if err == nil {
			err = beatAnswered(b[min(4, n):n])
		}
		if err != nil {
			return fmt.Errorf("heartbeat of %s: %w", p.who, err)
		}
	}
	p.asked = true
	if _, err := unix.Write(p.fd, p.beat); err != nil {
		return fmt.Errorf("heartbeat of %s: %w", p.who, err)
	}
	return nil
}

// readFrame reads one answer without its length into b, and returns how long it is.
func readFrame(from io.Reader, b []byte) (int, error) {
	if _, err := io.ReadFull(from, b[:4]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(b)
	if int64(n) > int64(len(b)) {
		return 0, fmt.Errorf("an answer of %d bytes", n)
	}
	_, err := io.ReadFull(from, b[:n])
	return int(n), err
}

// subscriptionTo is what a consumer of a topic says of itself in JoinGroup (ConsumerProtocolSubscription, version 1).
func subscriptionTo(topic string) []byte {
	s := kmsg.NewConsumerMemberMetadata()
	s.Version, s.Topics = 1, []string{topic}
	return s.AppendTo(nil)
}

// assignmentOf is one partition of a topic as a leader assigns it.
func assignmentOf(topic string, index int32) []byte {
	a := kmsg.NewConsumerMemberAssignment()
	t := kmsg.NewConsumerMemberAssignmentTopic()
	t.Topic, t.Partitions = topic, []int32{index}
	a.Topics = append(a.Topics, t)
	return a.AppendTo(nil)
}
