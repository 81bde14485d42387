package logdir

import (
	"fmt"
	"strings"
	"time"

	"pinion/disk/device"
	"pinion/engine/clock"
	"pinion/engine/shard"
)

// testamentFile says, in a directory that was fenced, when that was and why, until a broker has taken the directory again: for `pinion check`, and
// for whoever starts it next. The disk it is written to has just failed, so that it may be missing.
const testamentFile = "pinion-fenced"

const testamentMax = 4 << 10

// testament is the job that writes the file. Nobody waits for it.
type testament struct {
	shard.Letter
	dir  device.Dir
	text string
}

func newTestament(dir device.Dir, now clock.Wall, err error) *testament {
	reason := strings.Join(strings.Fields(err.Error()), " ")
	return &testament{dir: dir, text: fmt.Sprintf("%s %.2048s\n", time.UnixMilli(int64(now)).UTC().Format(time.RFC3339), reason)}
}

// Run writes it, if the disk lets it.
func (j *testament) Run() { _ = j.dir.Replace(testamentFile, []byte(j.text)) }

// Deliver has nothing to do.
func (*testament) Deliver(*shard.Turn) {}

// Testament is when and why the last life of a broker fenced a directory, empty if it did not, or could not say so.
func Testament(dir device.Dir) string {
	text, err := dir.ReadFile(testamentFile, testamentMax)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// execute tells of what the last life has left, and removes it: a start reads whatever may not have been stored.
func (l *List) execute(d *Directory) {
	said := Testament(d.Dir)
	if said == "" {
		return
	}
	l.log.Warn("the directory was fenced when it was last used; what may not have been stored is read now", "directory", d.Name, "said", said)
	if err := d.Dir.Remove(testamentFile); err != nil {
		l.log.Warn("what a fenced directory has left stays", "directory", d.Name, "err", err)
	}
}
