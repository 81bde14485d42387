package log

import (
	"encoding/hex"
	"fmt"
	"path"
	"strconv"
	"strings"

	"pinion/engine/model"
)

// Fixed by Kafka's naming.
const (
	logSuffix      = ".log"
	indexSuffix    = ".index"
	timeSuffix     = ".timeindex"
	txnSuffix      = ".txnindex"
	epochFile      = "leader-epoch-checkpoint"
	metadataFile   = "partition.metadata"
	deleteSuffix   = "-delete"
	folderBytesMax = 255
)

// keptSuffix ends the name of the new inode a truncation has not finished. Kafka would ignore the file; Open removes it.
const keptSuffix = ".kept"

// fileName is the path of one of a segment's files.
func fileName(folder string, base model.Offset, suffix string) string {
	return path.Join(folder, fmt.Sprintf("%020d%s", base, suffix))
}

// parseName splits a segment's file name. It is false for any other file.
func parseName(name string) (base model.Offset, suffix string, ok bool) {
	if len(name) < 20 {
		return 0, "", false
	}
	n, err := strconv.ParseUint(name[:20], 10, 63)
	if err != nil {
		return 0, "", false
	}
	return model.Offset(n), name[20:], true
}

// FolderName is where a partition's log lies in a log directory, Kafka's "<topic>-<partition>".
func FolderName(topic string, partition int32) string { return fmt.Sprintf("%s-%d", topic, partition) }

// ParseFolder takes a FolderName apart. It is false for a folder that is no partition's.
func ParseFolder(folder string) (topic string, partition int32, ok bool) {
	cut := strings.LastIndexByte(folder, '-')
	if cut <= 0 {
		return "", 0, false
	}
	n, err := strconv.ParseUint(folder[cut+1:], 10, 31)
	if err != nil {
		return "", 0, false
	}
	return folder[:cut], int32(n), true
}

// droppedName is what a deleted partition's folder is called while it is being emptied, Kafka's form: "orders-0.<32 hex>-delete". The
// topic id stands where Kafka has a random one: it names one incarnation just as well.
func droppedName(folder string, id model.TopicID) string { return markedName(folder, id, deleteSuffix) }

// markedName is "<folder>.<32 hex><mark>", with a topic's name cut where it would be too long.
func markedName(folder string, id model.TopicID, mark string) string {
	suffix := "." + hex.EncodeToString(id[:]) + mark
	if len(folder)+len(suffix) > folderBytesMax {
		tail := ""
		if topic, _, ok := ParseFolder(folder); ok {
			tail = folder[len(topic):]
		}
		folder = folder[:folderBytesMax-len(suffix)-len(tail)] + tail
	}
	return folder + suffix
}

// IsDropped reports whether a folder of a log directory is what Drop leaves when it is cut short: remove it at start.
func IsDropped(folder string) bool { return strings.HasSuffix(folder, deleteSuffix) }
