package log

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"pinion/disk/device"
	"pinion/engine/model"
)

const metadataBytesMax = 4 << 10

// writeMetadata writes partition.metadata beside its place, syncs it and renames it. No name is synced here, so that making a partition is
// cheap; but names become durable in order, so where a power cut leaves a segment, it leaves whose it is, and whole. Otherwise the next topic
// of the same name would take the records for its own.
func writeMetadata(dir device.Dir, folder string, id model.TopicID) error {
	name := path.Join(folder, metadataFile)
	f, err := openOrCreate(dir, name+".tmp")
	if err != nil {
		return err
	}
	_, err = f.Pwritev([][]byte{appendMetadata(nil, id)}, 0)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return dir.Rename(name+".tmp", name)
}

func appendMetadata(b []byte, id model.TopicID) []byte {
	b = append(b, "version: 0\ntopic_id: "...)
	b = append(b, id.String()...)
	return append(b, '\n')
}

// tornMetadata reports whether text is what a power cut can leave of this topic's file: a part of it, zeros for the rest.
func tornMetadata(text []byte, id model.TopicID) bool {
	whole := appendMetadata(nil, id)
	if id.IsZero() || len(text) > len(whole) || bytes.Equal(text, whole) {
		return false
	}
	for i, b := range text {
		if b != 0 && b != whole[i] {
			return false
		}
	}
	return true
}

// FolderTopic is the topic a folder says it belongs to; the zero id where it says none, as after a power cut. It blocks.
func FolderTopic(dir device.Dir, folder string) (model.TopicID, error) {
	text, err := dir.ReadFile(path.Join(folder, metadataFile), metadataBytesMax)
	if isNotExist(err) {
		return model.TopicID{}, nil
	}
	if err != nil {
		return model.TopicID{}, err
	}
	id, _, err := parseMetadata(text)
	return id, err
}

// parseMetadata reads what appendMetadata writes. ok is false when nothing stands there, as after a power cut (zeros included).
func parseMetadata(text []byte) (id model.TopicID, ok bool, err error) {
	trimmed := strings.Trim(string(text), "\x00 \r\n")
	if trimmed == "" {
		return id, false, nil
	}
	version, rest, _ := strings.Cut(trimmed, "\n")
	if strings.TrimSpace(version) != "version: 0" {
		return id, false, fmt.Errorf("parse %s: %q is not version 0", metadataFile, version)
	}
	value, found := strings.CutPrefix(strings.TrimSpace(rest), "topic_id:")
	if !found {
		return id, false, fmt.Errorf("parse %s: no topic_id", metadataFile)
	}
	id, err = model.ParseTopicID(strings.TrimSpace(value))
	if err != nil {
		return id, false, fmt.Errorf("parse %s: %w", metadataFile, err)
	}
	return id, true, nil
}
