package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// coldKeys are the rows of the table that kmsg decodes.
func coldKeys() (keys []*API) {
	for i := range Keys {
		if Keys[i].Key != KeyProduce && Keys[i].Key != KeyFetch {
			keys = append(keys, &Keys[i])
		}
	}
	return keys
}

func forEachCold(t *testing.T, run func(t *testing.T, api *API, version int16)) {
	for _, api := range coldKeys() {
		for version := api.Min; version <= api.Max; version++ {
			t.Run(fmt.Sprintf("%s/%d", api.Name, version), func(t *testing.T) { run(t, api, version) })
		}
	}
}

// A schema that missed a field, a version or a tag would stop short of the body's end or run past it.
func TestWalkUsesUpWhatKmsgWrites(t *testing.T) {
	forEachCold(t, func(t *testing.T, api *API, version int16) {
		rapid.Check(t, func(t *rapid.T) {
			body, read := drawRequest(t, api.Key, version)
			w, fault := walk(api.Key, version, body, math.MaxInt)
			if fault != FaultNone || w.r.fault != FaultNone || w.r.left() != 0 {
				t.Fatalf("%v, %v, %d bytes left of %x", fault, w.r.fault, w.r.left(), body)
			}
			if kept := keptBytes(reflect.ValueOf(read).Elem()); kept > w.spent {
				t.Fatalf("kmsg keeps %d bytes, charged %d", kept, w.spent)
			}
			if err := Walk(api.Key, version, body, w.spent); err != nil {
				t.Fatalf("within budget: %v", err)
			}
			if w.spent > 0 {
				if err := Walk(api.Key, version, body, w.spent-1); err != FaultAllocation {
					t.Fatalf("a byte over budget: %v", err)
				}
			}
		})
	})
}

func TestWalkRefusesPrefixes(t *testing.T) {
	forEachCold(t, func(t *testing.T, api *API, version int16) {
		for seed := range 20 {
			body := rapidExample(api.Key, version, seed)
			for n := range body {
				if Walk(api.Key, version, body[:n:n], math.MaxInt) == nil {
					t.Fatalf("%d of %d bytes pass", n, len(body))
				}
			}
		}
	})
}

// What passes with a budget makes kmsg allocate no more than twice that, however the body is built to hurt.
func TestWalkBoundsWhatKmsgAllocates(t *testing.T) {
	const bodyBytes = 256 << 10
	forEachCold(t, func(t *testing.T, api *API, version int16) {
		for name, body := range hostileBodies(api, version, bodyBytes) {
			w, _ := walk(api.Key, version, body, math.MaxInt)
			if w.r.fault != FaultNone {
				t.Fatalf("%s: %v", name, w.r.fault)
			}
			if err := Walk(api.Key, version, body, w.spent/2); err != FaultAllocation {
				t.Fatalf("%s: half the budget: %v", name, err)
			}
			const slack = 64 << 10
			if got := decodedBytes(t, api.Key, version, body); got > 2*w.spent+slack {
				t.Errorf("%s: kmsg allocates %d bytes for a body of %d, charged %d", name, got, len(body), w.spent)
			}
		}
	})
}

// hostileBodies are legal requests of about n bytes with as many of the smallest things as fit.
func hostileBodies(api *API, version int16, n int) map[string][]byte {
	bodies := map[string][]byte{}
	for i, f := range schemas[api.Key] {
		if f.kind != kindArray || version < f.from || version > f.to {
			continue
		}
		count := n / f.elementBytesMin(version, api.IsFlexible(version))
		bodies[fmt.Sprintf("%d elements of field %d", count, i)] = smallest(api, version, i, count, 0)
		if api.IsFlexible(version) && !f.bare {
			bodies[fmt.Sprintf("as many with a tag each of field %d", i)] = tagged(api, version, i, count/3)
		}
	}
	if api.IsFlexible(version) {
		bodies["tags"] = smallest(api, version, -1, 0, n/tagBytesMin/3)
	}
	return bodies
}

// smallest writes the shortest legal request, but with count elements in one array and tags tagged fields at the end.
func smallest(api *API, version int16, array, count, tags int) []byte {
	s := smallestWriter{version: version, flexible: api.IsFlexible(version)}
	s.fields(schemas[api.Key], array, count)
	if s.flexible {
		s.b = appendUvarint(s.b, uint32(tags))
		for i := range uint32(tags) {
			s.b = append(appendUvarint(s.b, i+tagUnknown), 0)
		}
	}
	return s.b
}

// tagged is smallest with one empty tagged field in each element.
func tagged(api *API, version int16, array, count int) []byte {
	s := smallestWriter{version: version, flexible: true, tagEach: true}
	s.fields(schemas[api.Key], array, count)
	return append(s.b, 0)
}

type smallestWriter struct {
	tagEach  bool
	b        []byte
	version  int16
	flexible bool
}

func (s *smallestWriter) fields(fields []field, array, count int) {
	for i := range fields {
		f := &fields[i]
		switch {
		case s.version < f.from || s.version > f.to:
		case f.kind == kindFixed:
			s.b = append(s.b, make([]byte, f.wireBytes)...)
		case f.kind == kindText:
			s.b = appendText(s.b, "", s.flexible)
		case f.kind == kindBytes:
			s.b = appendCount(s.b, 0, s.flexible)
		case f.kind == kindOptional:
			s.b = append(s.b, 0xff)
		case i != array:
			s.b = appendCount(s.b, 0, s.flexible)
		default:
			s.b = appendCount(s.b, count, s.flexible)
			for range count {
				s.fields(f.elements, -1, 0)
				switch {
				case s.tagEach:
					s.b = append(s.b, 1, tagUnknown, 0)
				case s.flexible && !f.bare:
					s.b = append(s.b, 0)
				}
			}
		}
	}
}

// decodedBytes is what kmsg allocates for a body, by the runtime's count.
func decodedBytes(t *testing.T, key, version int16, body []byte) int {
	var before, after runtime.MemStats
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	runtime.ReadMemStats(&before)
	err := req.ReadFrom(body)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatalf("kmsg refuses: %v", err)
	}
	return int(after.TotalAlloc - before.TotalAlloc)
}

func TestWalkRefuses(t *testing.T) {
	flexible := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	for _, c := range []struct {
		name         string
		key, version int16
		body         []byte
		want         Fault
	}{
		{"key without a row", 4, 0, nil, FaultKey},
		{"negative key", -1, 0, nil, FaultKey},
		{"key far outside", 32767, 0, nil, FaultKey},
		{"key with a view", KeyProduce, 3, nil, FaultKey},
		{"version below", KeyListOffsets, 0, nil, FaultVersion},
		{"version above", KeyMetadata, 14, nil, FaultVersion},
		{"two billion topics", KeyMetadata, 1, []byte{0x7f, 0xff, 0xff, 0xff}, FaultCount},
		{"as many, flexible", KeyMetadata, 9, flexible, FaultCount},
		{"null topics before null was allowed", KeyMetadata, 0, []byte{0xff, 0xff, 0xff, 0xff}, FaultNull},
		{"null topic name before null was allowed", KeyMetadata, 9, []byte{2, 0, 0, 0, 0, 0, 0}, FaultNull},
		{"null software name", KeyAPIVersions, 3, []byte{0, 1, 0}, FaultNull},
		{"four billion tags", KeyAPIVersions, 3, append([]byte{1, 1}, flexible...), FaultCount},
		{"empty body", KeyCreateTopics, 7, nil, FaultShort},
		{"elements without room for their tags", KeyDeleteTopics, 6, append([]byte{3}, make([]byte, 35)...), FaultCount},
		{"cursor neither absent nor present", KeyDescribeTopicPartitions, 0, []byte{1, 0, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0}, FaultNull},
		{"cursor cut off", KeyDescribeTopicPartitions, 0, []byte{1, 0, 0, 0, 0, 1, 5}, FaultLength},
		{"more ids than bytes", KeyDeleteTopics, 6, append([]byte{3}, make([]byte, 20)...), FaultCount},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := Walk(c.key, c.version, c.body, 1<<20); err != error(c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	body := smallest(Lookup(KeyMetadata), 9, 0, 100, 3)
	if n := testing.AllocsPerRun(100, func() { _ = Walk(KeyMetadata, 9, body, 1<<20) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// keptBytes adds up what a decoded request holds beside itself, from below: spare capacity and class sizes left out.
func keptBytes(v reflect.Value) (n int) {
	if v.CanAddr() {
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			return tags.Len() * int(reflect.TypeFor[uint32]().Size()+reflect.TypeFor[[]byte]().Size())
		}
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			n += keptBytes(v.Field(i))
		}
	case reflect.Slice:
		n = v.Len() * int(v.Type().Elem().Size())
		for i := range v.Len() {
			n += keptBytes(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			n = int(v.Type().Elem().Size()) + keptBytes(v.Elem())
		}
	case reflect.String:
		n = v.Len()
	}
	return n
}

func FuzzWalk(f *testing.F) {
	for _, api := range coldKeys() {
		for version := api.Min; version <= api.Max; version++ {
			for seed := range 3 {
				f.Add(api.Key, version, rapidExample(api.Key, version, seed))
			}
		}
	}
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		const budget = 1 << 20
		if Walk(key, version, body, budget) != nil {
			return
		}
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		if err := req.ReadFrom(body); err != nil {
			t.Fatalf("passed, kmsg refuses: %v", err)
		}
		if kept := keptBytes(reflect.ValueOf(req).Elem()); kept > budget {
			t.Fatalf("kmsg keeps %d bytes of a budget of %d", kept, budget)
		}
	})
}

// Counts at the edges of 32 bits stay what they are on the way through int.
func TestWalkCountsDoNotWrap(t *testing.T) {
	body := make([]byte, 64)
	for _, count := range []uint32{1 << 30, math.MaxInt32, 1 << 31, math.MaxUint32} {
		binary.BigEndian.PutUint32(body, count)
		if err := Walk(KeyDeleteTopics, 1, body, math.MaxInt); err == nil {
			t.Errorf("count %d passes", count)
		}
		flexible := append(appendUvarint(nil, count), body...)
		if err := Walk(KeyDeleteTopics, 4, flexible, math.MaxInt); err == nil {
			t.Errorf("count %d passes, flexible", count)
		}
	}
}
