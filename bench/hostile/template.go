package hostile

import (
	"bytes"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"pinion/net/kafka/wire"
)

// kind is how a spot is written.
type kind uint8

const (
	kindNumber kind = iota // of a fixed width
	kindShort              // two bytes of length, before a text
	kindLong               // four bytes of length or count
	kindVarint             // an unsigned varint of length or count, plus one
	kindTags               // the number of tagged fields, an unsigned varint
)

// spot is a place in a frame that means something.
type spot struct {
	at    int
	kind  kind
	width int // of a number
}

// span is a part of a frame, half-open.
type span struct{ from, to int }

// template is a valid frame that knows where its parts are. It is never changed.
type template struct {
	key, version int16
	flexible     bool
	silent       bool // valid as it is, it gets no answer
	frame        []byte
	spots        []spot // ascending, the header's not among them
	body         int    // where the body begins
	batches      []span // record batches
}

// Fixed by the protocol: where a request header keeps what, counted from the length field.
const (
	atKey         = 4
	atVersion     = 6
	atCorrelation = 8
	atClientID    = 12
	atHeaderEnd   = 14 + len(clientID) // of header version 1; version 2 has tagged fields behind
)

const clientID = "hostile"

// templates are valid frames of every key and version that is served, by key and version.
func templates() (list [][]*template) {
	for i := range wire.Keys {
		api := &wire.Keys[i]
		for version := api.Min; version <= api.Max; version++ {
			var variants []*template
			for _, req := range requests(api.Key, version) {
				variants = append(variants, newTemplate(req))
			}
			list = append(list, variants)
		}
	}
	return list
}

func encode(req kmsg.Request, correlation int32) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)).AppendRequest(nil, req, correlation)
}

func newTemplate(req kmsg.Request) *template {
	t := &template{key: req.Key(), version: req.GetVersion(), flexible: req.IsFlexible(), frame: encode(req, 0), body: atHeaderEnd}
	if t.flexible {
		t.body++
	}
	s := surveyor{t: t, req: req}
	s.value(reflect.ValueOf(req).Elem())
	slices.SortFunc(t.spots, func(a, b spot) int { return a.at - b.at })
	if produce, ok := req.(*kmsg.ProduceRequest); ok {
		t.silent = produce.Acks == 0
		t.findBatches(produce)
	}
	return t
}

func (t *template) findBatches(req *kmsg.ProduceRequest) {
	at := t.body
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			records := req.Topics[i].Partitions[j].Records
			from := at + bytes.Index(t.frame[at:], records)
			at = from + len(records)
			t.batches = append(t.batches, span{from, at})
		}
	}
}

// surveyor finds the spots of a frame without knowing its format: it changes one field of the request at a time and looks where
// the frame begins to differ. So the map owes nothing to the code it is used against.
type surveyor struct {
	t   *template
	req kmsg.Request
}

// differs returns the first byte that a change moves, and whether there is one: fields that a version does not have move nothing.
func (s *surveyor) differs() (at int, ok bool) {
	other := encode(s.req, 0)
	for at = 4; at < len(s.t.frame) && at < len(other); at++ {
		if s.t.frame[at] != other[at] {
			return at, true
		}
	}
	return at, len(other) != len(s.t.frame)
}

func (s *surveyor) note(kind kind, back, width int) {
	if at, ok := s.differs(); ok {
		s.t.spots = append(s.t.spots, spot{at - back, kind, width})
	}
}

// length notes the place of a text's or array's length after it was changed.
func (s *surveyor) length(plain kind) {
	switch {
	case s.t.flexible:
		s.note(kindVarint, 0, 0)
	case plain == kindShort:
		s.note(kindShort, 1, 0) // the low byte differs
	default:
		s.note(kindLong, 3, 0)
	}
}

func (s *surveyor) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		s.structure(v)
	case reflect.Pointer:
		if !v.IsNil() {
			s.value(v.Elem())
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		switch {
		case v.Type().Elem().Kind() == reflect.Struct:
			s.note(kindNumber, 0, 1)
		case s.t.flexible:
			s.note(kindVarint, 0, 0)
		default:
			s.note(kindShort, 0, 0) // -1 becomes 0, in both bytes
		}
		v.SetZero()
	case reflect.Slice:
		before := reflect.ValueOf(v.Interface())
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		s.length(kindLong)
		v.Set(before)
		for i := range v.Len() {
			if v.Type().Elem().Kind() != reflect.Uint8 {
				s.value(v.Index(i))
			}
		}
	case reflect.String:
		before := v.String()
		v.SetString(before + "x")
		s.length(kindShort)
		v.SetString(before)
	case reflect.Bool:
		v.SetBool(!v.Bool())
		s.note(kindNumber, 0, 1)
		v.SetBool(!v.Bool())
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		width := int(v.Type().Size())
		before := v.Int()
		v.SetInt(before ^ 1)
		s.note(kindNumber, width-1, width)
		v.SetInt(before)
	}
}

func (s *surveyor) structure(v reflect.Value) {
	if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
		tags.Set(100, nil)
		if s.t.flexible {
			s.note(kindTags, 0, 0)
		}
		*tags = kmsg.Tags{}
		return
	}
	for i := range v.NumField() {
		if v.Type().Field(i).Name != "Version" {
			s.value(v.Field(i))
		}
	}
}
