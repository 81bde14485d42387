package log

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"pinion/disk/device"
	"pinion/engine/model"
)

// A partition that goes to another log directory has, while it does, one of these names there or where it was; the topic's id in them names one
// incarnation. Which of two copies counts is never for the disks to say but for the catalogue, so that a start finds exactly one:
//
//	where it was                where it goes to                 the catalogue says
//	orders-0                    orders-0.<32 hex>-future         where it was     a copy that is not finished, and the wish to have one
//	orders-0                    orders-0.<32 hex>-arrived        where it was     finished, and durable
//	orders-0.<32 hex>-leaving   orders-0.<32 hex>-arrived        either           a start gives the one that counts its name back
//	                            orders-0                         where it went
type Crossing string

// The names; the first is Kafka's.
const (
	Future  Crossing = "-future"
	Arrived Crossing = "-arrived"
	Leaving Crossing = "-leaving"
)

// Name is what a partition's folder is called then.
func (c Crossing) Name(folder string, id model.TopicID) string {
	return markedName(folder, id, string(c))
}

// ParseCrossing takes such a name apart. It is false for any other.
func ParseCrossing(name string) (p model.Partition, c Crossing, ok bool) {
	for _, c = range []Crossing{Future, Arrived, Leaving} {
		rest, marked := strings.CutSuffix(name, string(c))
		dot := strings.LastIndexByte(rest, '.')
		if !marked || dot < 0 {
			continue
		}
		id, err := hex.DecodeString(rest[dot+1:])
		_, index, whole := ParseFolder(rest[:dot])
		if err == nil && whole && len(id) == len(p.Topic) {
			return model.Partition{Topic: model.TopicID(id), Index: index}, c, true
		}
	}
	return model.Partition{}, "", false
}

// Wish makes the folder that says that a partition is to come here, durably and empty. It blocks.
func Wish(to device.Dir, folder string, id model.TopicID) error {
	name := Future.Name(folder, id)
	if err := to.RemoveAll(name); err != nil {
		return err
	}
	if err := to.Mkdir(name); err != nil {
		return err
	}
	return to.SyncDir(".")
}

// Unwish takes the wish back, with what was copied, durably. It blocks.
func Unwish(to device.Dir, folder string, id model.TopicID) error {
	return removeMarked(to, folder, id, Future)
}

// ErrTaken says that where a partition goes to there is a folder of its name.
var ErrTaken = errors.New("the folder's name is taken")

// Arrive gives a finished copy the name under which a start may take it for the partition, durably. It blocks.
func Arrive(to device.Dir, folder string, id model.TopicID) error {
	switch _, err := to.List(folder); {
	case err == nil:
		return fmt.Errorf("%s: %w", folder, ErrTaken)
	case !isNotExist(err):
		return err
	}
	return renameSynced(to, Future.Name(folder, id), Arrived.Name(folder, id))
}

// Leave takes the name from the folder that was copied, durably. It blocks.
func Leave(from device.Dir, folder string, id model.TopicID) error {
	return renameSynced(from, folder, Leaving.Name(folder, id))
}

// Land gives the copy, which the catalogue has named the partition, its name, durably. It blocks.
func Land(to device.Dir, folder string, id model.TopicID) error {
	return renameSynced(to, Arrived.Name(folder, id), folder)
}

// Stay gives the folder that was copied its name back, if it had left, which the catalogue goes on naming the partition, durably. It blocks.
func Stay(from device.Dir, folder string, id model.TopicID) error {
	err := renameSynced(from, Leaving.Name(folder, id), folder)
	if isNotExist(err) {
		return nil
	}
	return err
}

// Left removes the one of the two that does not count, once the other has its name, durably. It blocks.
func Left(dir device.Dir, folder string, id model.TopicID, which Crossing) error {
	return removeMarked(dir, folder, id, which)
}

func renameSynced(dir device.Dir, from, to string) error {
	if err := dir.Rename(from, to); err != nil {
		return err
	}
	return dir.SyncDir(".")
}

// removeMarked removes a folder so that nothing of it is ever taken for the whole: a name that a start removes comes first.
func removeMarked(dir device.Dir, folder string, id model.TopicID, c Crossing) error {
	name := c.Name(folder, id)
	dropped := droppedName(folder, id)
	if err := dir.RemoveAll(dropped); err != nil { // of an earlier one that was cut short
		return err
	}
	err := dir.Rename(name, dropped)
	if isNotExist(err) {
		return nil
	}
	if err == nil {
		err = dir.SyncDir(".")
	}
	if err == nil {
		err = dir.RemoveAll(dropped)
	}
	return err
}
