package log

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"pinion/disk/device"
	"pinion/engine/model"
)

const metadataBytesMax = 4 << 10

// writeMetadata writes partition.metadata. Nothing is synced here, so that making a partition is cheap: whatever makes a record durable makes this
// file durable before. Where a power cut leaves records and takes the file, or a part of it, they were promised to nobody, and the next topic of the same
// name must not take them for its own: see ErrNobodys.
func writeMetadata(dir device.Dir, folder string, id model.TopicID) error {
	f, err := openOrCreate(dir, path.Join(folder, metadataFile))
	if err != nil {
		return err
	}
	text := appendMetadata(nil, id)
	_, err = f.Pwritev([][]byte{text}, 0) // over what is there, which is the same or torn: a kill must not find nothing
	if size, sizeErr := f.Size(); err == nil && sizeErr == nil && size > int64(len(text)) {
		err = f.Cut(int64(len(text)))
	}
	return errors.Join(err, f.Close())
}

// syncMetadata makes the file durable. It writes it again: a process before us may have, and the sync of that one may have failed.
func syncMetadata(dir device.Dir, folder string, id model.TopicID) error {
	if id.IsZero() {
		return nil
	}
	if err := writeMetadata(dir, folder, id); err != nil {
		return err
	}
	f, err := dir.Open(path.Join(folder, metadataFile))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// metadataHead is what the file begins with; the topic's id follows, and a line end.
const metadataHead = "version: 0\ntopic_id: "

func appendMetadata(b []byte, id model.TopicID) []byte {
	b = append(b, metadataHead...)
	b = append(b, id.String()...)
	return append(b, '\n')
}

// tornMetadata reports whether text is what a power cut can leave of some topic's file: a part of it, zeros for the rest.
func tornMetadata(text []byte) bool {
	whole := appendMetadata(nil, model.TopicID{})
	if len(text) > len(whole) {
		return false
	}
	torn := len(text) < len(whole)
	for i, b := range text {
		inID := i >= len(metadataHead) && i < len(whole)-1
		switch {
		case b == 0:
			torn = true
		case b != whole[i] && !(inID && isIDByte(b)):
			return false
		}
	}
	return torn
}

// isIDByte reports whether a topic id may be written with b.
func isIDByte(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_'
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

// Whose is the topic whose records a folder holds; zero where it does not say, or no more than an Open would believe. It blocks.
func Whose(dir device.Dir, folder string) (model.TopicID, error) {
	text, err := dir.ReadFile(path.Join(folder, metadataFile), metadataBytesMax)
	if isNotExist(err) {
		return model.TopicID{}, nil
	}
	if err != nil {
		return model.TopicID{}, fmt.Errorf("read %s/%s: %w", folder, metadataFile, err)
	}
	id, _, err := parseMetadata(text)
	if err != nil || tornMetadata(text) {
		return model.TopicID{}, nil
	}
	return id, nil
}
