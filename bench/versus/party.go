package versus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	// answerMax is how long an answer may take: the longest wait the script asks for is a second.
	answerMax = 30 * time.Second
	// frameBytesMax bounds an answer.
	frameBytesMax = 64 << 20
)

// party is one of the two brokers: a connection to it, and what it has given out so far.
type party struct {
	name string
	addr string
	host string
	port int32
	dir  string // its log directory

	conn        net.Conn
	correlation int32
	patience    time.Duration // for an answer

	cluster   string              // its id, once Metadata has told it
	topics    map[[16]byte]string // name by id
	ids       map[string][16]byte // id by name, of topics that are there
	producers map[int64]int       // order in which it gave out a producer id
	members   map[string]int      // order in which it gave out the id of a group's member
	said      map[string]string   // texts a later request needs: ids of members
	kept      map[string]int64    // numbers a later request needs: sessions and producer ids, by a name of the script's
}

func newParty(name, addr, dir string) (*party, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address of %s: %w", name, err)
	}
	n, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("port of %s: %w", name, err)
	}
	return &party{name: name, addr: addr, host: host, port: int32(n), dir: dir, patience: answerMax,
		topics: map[[16]byte]string{}, ids: map[string][16]byte{}, producers: map[int64]int{}, kept: map[string]int64{}, members: map[string]int{}, said: map[string]string{}}, nil
}

// fate is what became of a request.
type fate string

const (
	answered fate = "answered"
	silent   fate = "not answered, as the request wanted it"
	closed   fate = "connection closed"
	stalled  fate = "no answer"
	garbled  fate = "an answer that cannot be read"
)

// outcome is a fate, and the answer if there is one.
type outcome struct {
	fate fate
	why  error // of a garbled answer
	resp kmsg.Response
}

// id of a topic on this broker; all zero for one that is not there.
func (p *party) id(topic string) [16]byte { return p.ids[topic] }

// ask sends a request and reads its answer.
func (p *party) ask(req kmsg.Request) outcome {
	p.correlation++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("versus")).AppendRequest(nil, req, p.correlation)
	body, fate := p.exchange(frame)
	if fate != answered {
		return outcome{fate: fate}
	}
	return p.read(req, body)
}

// askRaw sends a frame with a header and whatever follows it. What comes back, if anything, is read as an ApiVersions answer of version 0,
// the one thing a broker says to a request it does not know.
func (p *party) askRaw(key, version int16, body []byte) outcome {
	p.correlation++
	frame := binary.BigEndian.AppendUint32(nil, 0)
	frame = binary.BigEndian.AppendUint16(frame, uint16(key))
	frame = binary.BigEndian.AppendUint16(frame, uint16(version))
	frame = binary.BigEndian.AppendUint32(frame, uint32(p.correlation))
	frame = append(frame, 0xff, 0xff) // no client id
	frame = append(frame, body...)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	got, fate := p.exchange(frame)
	if fate != answered {
		return outcome{fate: fate}
	}
	return p.read(kmsg.NewPtrApiVersionsRequest(), got)
}

// read decodes the answer to a request.
func (p *party) read(req kmsg.Request, body []byte) outcome {
	if len(body) < 4 || int32(binary.BigEndian.Uint32(body)) != p.correlation {
		return outcome{fate: garbled, why: errors.New("the correlation id is another's")}
	}
	body = body[4:]
	if req.IsFlexible() && req.Key() != kmsg.ApiVersions.Int16() {
		if len(body) == 0 || body[0] != 0 {
			return outcome{fate: garbled, why: errors.New("the header has tagged fields, of which none are defined")}
		}
		body = body[1:]
	}
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if api, ok := resp.(*kmsg.ApiVersionsResponse); ok && len(body) >= 2 && binary.BigEndian.Uint16(body) == unsupportedVersion {
		api.SetVersion(0) // KIP-511: whoever does not know the version answers in the first
	}
	if err := resp.ReadFrom(body); err != nil {
		return outcome{fate: garbled, why: err}
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
		return outcome{fate: garbled, why: fmt.Errorf("%d bytes, of which %d are the answer", len(body), len(again))}
	}
	return outcome{fate: answered, resp: resp}
}

const unsupportedVersion = 35

// tell sends a request that wants no answer, and finds out with another one whether the broker is content.
func (p *party) tell(req kmsg.Request) outcome {
	p.correlation++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("versus")).AppendRequest(nil, req, p.correlation)
	probe := kmsg.NewPtrApiVersionsRequest()
	p.correlation++
	body, fate := p.exchange(append(frame, kmsg.NewRequestFormatter().AppendRequest(nil, probe, p.correlation)...))
	if fate != answered {
		return outcome{fate: fate}
	}
	if o := p.read(probe, body); o.fate != answered {
		return o
	}
	return outcome{fate: silent}
}

// exchange writes frames and reads one. A connection that is closed is opened anew for the next request.
func (p *party) exchange(frames []byte) ([]byte, fate) {
	if p.conn == nil {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			return nil, closed
		}
		p.conn = conn
	}
	_ = p.conn.SetDeadline(time.Now().Add(p.patience))
	_, err := p.conn.Write(frames)
	var head [4]byte
	if err == nil {
		_, err = io.ReadFull(p.conn, head[:])
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	if err == nil && size > frameBytesMax {
		p.hangUp()
		return nil, garbled
	}
	body := make([]byte, size)
	if err == nil {
		_, err = io.ReadFull(p.conn, body)
	}
	if err != nil {
		p.hangUp()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, stalled
		}
		return nil, closed
	}
	return body, answered
}

func (p *party) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
}
