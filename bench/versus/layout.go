package versus

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/disk/batch"
)

// A layout is an answer as path and value, with everything made equal that has to differ between two brokers.
type layout map[string]string

// aroundNow is how far from this moment a time may lie to count as "now". The script's own times lie a day in the past or two hours in the
// future.
const aroundNow = 30 * time.Minute

// layouter lays out the answers of one party.
type layouter struct {
	party   *party
	ordered bool // the order of lists counts
	quorum  bool // it is about the metadata log
	out     layout
}

func (p *party) layout(o outcome, ordered bool) layout {
	l := &layouter{party: p, ordered: ordered, out: layout{}}
	if o.why != nil {
		l.out["fate"] = string(o.fate) + ": " + o.why.Error()
	} else {
		l.out["fate"] = string(o.fate)
	}
	if o.resp != nil {
		l.quorum = o.resp.Key() == kmsg.DescribeQuorum.Int16()
		l.structure("", reflect.ValueOf(o.resp).Elem())
	}
	return l.out
}

// structure lays out the fields of a structure.
func (l *layouter) structure(path string, v reflect.Value) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		switch name {
		case "Version", "UnknownTags", "ThrottleMillis":
			continue
		}
		l.value(join(path, name), name, v.Field(i))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (l *layouter) value(path, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			l.out[path] = "null"
			return
		}
		l.value(path, name, v.Elem())
	case reflect.Struct:
		l.structure(path, v)
	case reflect.Slice, reflect.Array:
		l.list(path, name, v)
	case reflect.String:
		l.out[path] = l.text(name, v.String())
	case reflect.Bool:
		l.out[path] = strconv.FormatBool(v.Bool())
	case reflect.Uint16:
		l.out[path] = l.number(name, int64(v.Uint()))
	case reflect.Float64:
		l.out[path] = strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		l.out[path] = l.number(name, v.Int())
	}
}

// text makes equal what a broker words or is called.
func (l *layouter) text(name, s string) string {
	switch {
	case name == "Host" && s == l.party.host:
		return "its host"
	case (name == "MemberID" || name == "LeaderID") && l.party.isMember(s):
		return fmt.Sprintf("member %d", l.party.members[s])
	case name == "ClusterID" && s == l.party.cluster && s != "":
		return "its id"
	case name == "Dir" && l.party.dir != "" && s == absolute(l.party.dir):
		return "its directory"
	case (name == "ErrorMessage" || name == "BatchIndexErrorMessage" || name == "Documentation") && s != "":
		return "words"
	}
	return strconv.Quote(s)
}

// isMember reports whether the party gave an id to a member.
func (p *party) isMember(id string) bool {
	_, ok := p.members[id]
	return ok
}

func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

// number makes equal what a broker counts or measures for itself.
func (l *layouter) number(name string, n int64) string {
	switch name {
	case "ErrorCode":
		return codeName(int16(n))
	case "Port":
		if int32(n) == l.party.port {
			return "its port"
		}
	case "SessionID":
		if n != 0 {
			return "a session"
		}
	case "ProducerID":
		if at, ok := l.party.producers[n]; ok {
			return fmt.Sprintf("producer %d", at)
		}
	case "HighWatermark", "LogEndOffset", "LeaderEpoch":
		if l.quorum {
			return fmt.Sprint(n > 0) // of a log that each keeps for itself
		}
	case "Timestamp", "LogAppendTime", "LastTimestamp", "LastFetchTimestamp", "LastCaughtUpTimestamp":
		return moment(n)
	case "TotalBytes", "UsableBytes":
		if n > 0 {
			return "some"
		}
	}
	return strconv.FormatInt(n, 10)
}

func moment(n int64) string {
	if away := time.Since(time.UnixMilli(n)); away < aroundNow && away > -aroundNow {
		return "now"
	}
	return strconv.FormatInt(n, 10)
}

// codeName is an error's name.
func codeName(code int16) string {
	if code == 0 {
		return "NONE"
	}
	if err := kerr.TypedErrorForCode(code); err != nil {
		return err.Message
	}
	return fmt.Sprintf("error %d", code)
}

func (l *layouter) list(path, name string, v reflect.Value) {
	switch {
	case v.Type() == reflect.TypeFor[[16]byte]():
		l.out[path] = l.topicID(v.Interface().([16]byte))
	case v.Type().Elem().Kind() == reflect.Uint8 && (name == "RecordBatches" || name == "Records"):
		l.records(path, v.Bytes())
	case v.Type().Elem().Kind() == reflect.Struct:
		l.structures(path, v)
	default:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = fmt.Sprint(v.Index(i).Interface())
		}
		l.out[path] = "[" + strings.Join(parts, " ") + "]"
	}
}

func (l *layouter) topicID(id [16]byte) string {
	switch {
	case id == ([16]byte{}):
		return "no id"
	case l.quorum:
		return "the id of a directory"
	}
	if topic, ok := l.party.topics[id]; ok {
		return "the id of " + topic
	}
	return hex.EncodeToString(id[:])
}

// structures lays out a list whose elements have a name of their own. Where its order does not count it is a set.
func (l *layouter) structures(path string, v reflect.Value) {
	seen := map[string]int{}
	var order []string
	for i := range v.Len() {
		name := l.identity(v.Index(i))
		if seen[name]++; seen[name] > 1 {
			name = fmt.Sprintf("%s#%d", name, seen[name])
		}
		order = append(order, name)
		l.structure(path+"["+name+"]", v.Index(i))
	}
	if !l.ordered {
		slices.Sort(order)
	}
	l.out[path] = "[" + strings.Join(order, " ") + "]"
}

// identities are the fields that tell elements of a list apart, in order of preference.
var identities = []string{"Topic", "ResourceName", "Name", "Group", "Key", "MemberID", "Partition", "NodeID", "ReplicaID", "Feature", "ApiKey", "ProducerID", "Dir", "TopicID", "FirstOffset"}

func (l *layouter) identity(v reflect.Value) string {
	if parts := v.FieldByName("Entity"); parts.IsValid() && parts.Kind() == reflect.Slice {
		var names []string
		for i := range parts.Len() {
			names = append(names, l.identity(parts.Index(i)))
		}
		slices.Sort(names)
		return strings.Join(names, "+")
	}
	if kind, name := v.FieldByName("Type"), v.FieldByName("Name"); kind.IsValid() && name.IsValid() {
		if name.Kind() == reflect.Pointer && name.IsNil() {
			return fmt.Sprint(kind, " by default")
		}
		return fmt.Sprint(kind, " ", reflect.Indirect(name))
	}
	for _, name := range identities {
		f := v.FieldByName(name)
		if !f.IsValid() || f.Kind() == reflect.Pointer && f.IsNil() {
			continue
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		switch {
		case f.Kind() == reflect.String && f.String() != "":
			return strings.Trim(l.text(name, f.String()), `"`)
		case f.CanInt():
			return l.number(name, f.Int())
		case f.Kind() == reflect.Array && !f.IsZero():
			return l.topicID(f.Interface().([16]byte))
		}
	}
	return "-"
}

// recordsOutMax bounds what a batch of an answer may decompress to.
const recordsOutMax = 64 << 20

// records lays out record batches, the last of which may be cut short. How well a broker compresses is its own affair.
func (l *layouter) records(path string, b []byte) {
	count := 0
	for len(b) > 0 {
		h, whole := batch.ReadHeader(b)
		if !whole || h.Length < batch.HeaderSize-batch.Overhead || h.Size() > len(b) {
			l.out[path+".cut"] = "yes"
			break
		}
		l.batch(fmt.Sprintf("%s[%d]", path, count), &h, b[:h.Size()])
		b = b[h.Size():]
		count++
	}
	l.out[path] = fmt.Sprintf("%d batches", count)
}

func (l *layouter) batch(path string, h *batch.Header, b []byte) {
	l.out[path] = fmt.Sprintf("offset %d+%d, epoch %d, attributes %#x, times %s to %s, %s epoch %d sequence %d, %d records, checksum good: %v",
		h.BaseOffset, h.LastOffsetDelta, h.Epoch, h.Attributes, moment(h.BaseTimestamp), moment(h.MaxTimestamp),
		l.number("ProducerID", h.ProducerID), h.ProducerEpoch, h.BaseSequence, h.Records, batch.CheckCRC(b))
	sum := sha256.New()
	var it batch.Iterator
	it.Reset(b, recordsOutMax)
	for it.Next() {
		r := it.Record()
		fmt.Fprintf(sum, "%d %s %v %q %v %q %d", r.Offset, moment(r.Timestamp), r.Key == nil, r.Key, r.Value == nil, r.Value, r.HeaderCount())
		for key, value := range r.Headers {
			fmt.Fprintf(sum, " %q %v %q", key, value == nil, value)
		}
	}
	if err := it.Err(); err != nil {
		l.out[path+".records"] = err.Error()
		return
	}
	l.out[path+".records"] = hex.EncodeToString(sum.Sum(nil)[:6])
}

// learn keeps what later requests and layouts need of an answer.
func (p *party) learn(o outcome) {
	if o.resp == nil {
		return
	}
	if r, ok := o.resp.(*kmsg.JoinGroupResponse); ok && r.MemberID != "" {
		if _, again := p.members[r.MemberID]; !again {
			p.members[r.MemberID] = len(p.members)
		}
	}
	if r, ok := o.resp.(*kmsg.InitProducerIDResponse); ok && r.ErrorCode == 0 {
		if _, again := p.producers[r.ProducerID]; !again {
			p.producers[r.ProducerID] = len(p.producers)
		}
	}
	p.learnFrom(reflect.ValueOf(o.resp).Elem())
}

func (p *party) learnFrom(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.learnFrom(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			p.learnFrom(v.Index(i))
		}
	case reflect.Struct:
		if id, topic := v.FieldByName("TopicID"), v.FieldByName("Topic"); id.IsValid() && topic.IsValid() && !id.IsZero() {
			p.learnTopic(id.Interface().([16]byte), topic)
		}
		if id := v.FieldByName("ClusterID"); id.IsValid() && p.cluster == "" {
			if id.Kind() == reflect.Pointer {
				id = reflect.Indirect(id)
			}
			if id.IsValid() {
				p.cluster = id.String()
			}
		}
		for i := range v.NumField() {
			p.learnFrom(v.Field(i))
		}
	}
}

func (p *party) learnTopic(id [16]byte, topic reflect.Value) {
	if topic.Kind() == reflect.Pointer {
		topic = reflect.Indirect(topic)
	}
	if topic.IsValid() && topic.String() != "" && p.topics[id] == "" {
		p.topics[id], p.ids[topic.String()] = topic.String(), id
	}
}
