package wire

import (
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// drawRequest fills a kmsg request with drawn values, unknown tagged fields included, and returns its bytes in the given
// version together with what kmsg itself reads back from them: the oracle's answer.
func drawRequest(t *rapid.T, key, version int16) (body []byte, read kmsg.Request) {
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	drawValue(t, reflect.ValueOf(req).Elem(), version)
	body = req.AppendTo(nil)
	read = kmsg.RequestForKey(key)
	read.SetVersion(version)
	if err := read.ReadFrom(body); err != nil {
		t.Fatalf("kmsg does not read what it wrote: %v", err)
	}
	return body, read
}

// tagUnknown is a tag number no request uses.
const tagUnknown = 99

func drawValue(t *rapid.T, v reflect.Value, version int16) {
	switch v.Kind() {
	case reflect.Struct:
		drawStruct(t, v, version)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "bytes"))
			return
		}
		n := rapid.IntRange(0, 3).Draw(t, "elements")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			drawValue(t, v.Index(i), version)
		}
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(rapid.Byte().Draw(t, "id byte")))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "present") {
			v.Set(reflect.New(v.Type().Elem()))
			drawValue(t, v.Elem(), version)
		}
	case reflect.String:
		v.SetString(rapid.StringN(0, 20, 60).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "flag"))
	case reflect.Float64:
		v.SetFloat(rapid.Float64().Draw(t, "float64"))
	case reflect.Int8:
		v.SetInt(int64(rapid.Int8().Draw(t, "int8")))
	case reflect.Int16:
		v.SetInt(int64(rapid.Int16().Draw(t, "int16")))
	case reflect.Int32:
		v.SetInt(int64(rapid.Int32().Draw(t, "int32")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int64"))
	default:
		t.Fatalf("cannot draw a %s", v.Type())
	}
}

func drawStruct(t *rapid.T, v reflect.Value, version int16) {
	if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
		if rapid.IntRange(0, 4).Draw(t, "tags") == 0 {
			tags.Set(tagUnknown, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "tag"))
		}
		return
	}
	if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
		d.Default()
	}
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; name == "Version" || neverSent(v.Type(), name, version) {
			continue
		}
		drawValue(t, v.Field(i), version)
	}
	// kmsg reads absent texts of pre-nullable versions as "", so a nil there could not be written.
	if topic, ok := v.Addr().Interface().(*kmsg.MetadataRequestTopic); ok && version < 10 && topic.Topic == nil {
		topic.Topic = new(string)
	}
}

// neverSent names the tagged fields a version does not have but kmsg would write in any flexible version.
func neverSent(of reflect.Type, field string, version int16) bool {
	switch of {
	case reflect.TypeFor[kmsg.FetchRequest]():
		return field == "ReplicaState" && version < fetchReplicaState
	case reflect.TypeFor[kmsg.FetchRequestTopicPartition]():
		return field == "ReplicaDirectoryID" && version < fetchDirectoryID || field == "HighWatermark" && version < fetchReplicaHigh
	default:
		return false
	}
}
