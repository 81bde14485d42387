package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// jsonRecord is a record as `consume -f jsonl` writes and `produce --input jsonl` reads it. Bytes that are no UTF-8 go to the
// field with _base64 in its name instead, so that everything survives the round trip.
type jsonRecord struct {
	Topic       string       `json:"topic,omitempty"`
	Partition   int32        `json:"partition"`
	Offset      int64        `json:"offset"`
	Timestamp   *int64       `json:"timestamp_ms"` // absent: when it is sent
	Key         *string      `json:"key"`
	KeyBase64   string       `json:"key_base64,omitempty"`
	Value       *string      `json:"value"`
	ValueBase64 string       `json:"value_base64,omitempty"`
	Headers     []jsonHeader `json:"headers,omitempty"`
}

type jsonHeader struct {
	Key         string  `json:"key"`
	KeyBase64   string  `json:"key_base64,omitempty"`
	Value       *string `json:"value"`
	ValueBase64 string  `json:"value_base64,omitempty"`
}

func toJSON(r *kgo.Record) jsonRecord {
	at := r.Timestamp.UnixMilli()
	j := jsonRecord{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: &at}
	j.Key, j.KeyBase64 = textOrBase64(r.Key)
	j.Value, j.ValueBase64 = textOrBase64(r.Value)
	for _, h := range r.Headers {
		var header jsonHeader
		if key, encoded := textOrBase64([]byte(h.Key)); key != nil {
			header.Key = *key
		} else {
			header.KeyBase64 = encoded
		}
		header.Value, header.ValueBase64 = textOrBase64(h.Value)
		j.Headers = append(j.Headers, header)
	}
	return j
}

func textOrBase64(b []byte) (*string, string) {
	switch {
	case b == nil:
		return nil, ""
	case utf8.Valid(b):
		text := string(b)
		return &text, ""
	}
	return nil, base64.StdEncoding.EncodeToString(b)
}

func fromText(text *string, encoded string) ([]byte, error) {
	switch {
	case encoded != "":
		return base64.StdEncoding.DecodeString(encoded)
	case text == nil:
		return nil, nil
	}
	return []byte(*text), nil
}

func (j *jsonRecord) record() (*kgo.Record, error) {
	key, keyErr := fromText(j.Key, j.KeyBase64)
	value, valueErr := fromText(j.Value, j.ValueBase64)
	r := &kgo.Record{Key: key, Value: value}
	err := errors.Join(keyErr, valueErr)
	for _, h := range j.Headers {
		key, keyErr := fromText(&h.Key, h.KeyBase64)
		b, valueErr := fromText(h.Value, h.ValueBase64)
		err = errors.Join(err, keyErr, valueErr)
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(key), Value: b})
	}
	if j.Timestamp != nil && *j.Timestamp >= 0 {
		r.Timestamp = time.UnixMilli(*j.Timestamp)
	}
	return r, err
}

// jsonSource reads one object a line. Topic, partition and offset of the line are not taken over: they belong to where it came from.
func jsonSource(in io.Reader) func() (*kgo.Record, error) {
	decoder := json.NewDecoder(bufio.NewReader(in))
	return func() (*kgo.Record, error) {
		var j jsonRecord
		if err := decoder.Decode(&j); err != nil {
			return nil, err
		}
		return j.record()
	}
}

// compactJSON is one line with its newline.
func compactJSON(value any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "null\n" // not reached: the values here are plain structs
	}
	return b.String()
}
