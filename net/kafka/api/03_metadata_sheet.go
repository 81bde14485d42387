package api

import (
	"sync/atomic"

	"pinion/engine/model"
	"pinion/engine/placement"
	"pinion/engine/shard"
)

// Large Metadata answers are not encoded on a shard: ten thousand partitions take a millisecond, and every client of a large cluster asks
// again whenever anything changes. A sheet is all topics of one image in the bytes of one version. A helper prints it once; every shard sends
// from it until the image is another one. The press, which the first shard owns, sees to it that the same sheet is not printed twice.

// sheetForm is what tells two sheets of one image apart.
type sheetForm struct {
	version    int16
	naming     placement.Naming
	operations int32 // what clients may do to a topic, as all of them may do the same; noOperations if they did not ask
}

// sheet is immutable once published.
type sheet struct {
	form  sheetForm
	image *placement.Image
	count int    // topics
	bytes []byte // all topics, ascending by name
	wide  map[*placement.Topic]sheetPlace
}

// sheetPlace is where a topic lies in a sheet: bytes [from, to).
type sheetPlace struct{ from, to int }

const (
	// inlinePartitionsMax is how many partitions an answer may have that a shard encodes itself, in about 10 us.
	inlinePartitionsMax = 256
	// wideMin is from how many partitions on a topic has its place in the sheet noted: fewer are encoded as fast as found.
	wideMin = 32
	// sheetsKept is for how many forms sheets are kept: clients of so many versions may ask by turns.
	sheetsKept = 6
	// sheetBytesMax bounds the sheets that are kept, all together; 1,000,000 partitions take about 27 MB in one form. One that is larger by itself is kept alone.
	sheetBytesMax = 128 << 20
)

// printSheet encodes an image, taking over from an earlier sheet of the form what has not changed since.
func printSheet(form sheetForm, image *placement.Image, before *sheet) *sheet {
	s := &sheet{form: form, image: image, wide: make(map[*placement.Topic]sheetPlace)}
	if before != nil {
		s.bytes = make([]byte, 0, len(before.bytes)+len(before.bytes)/64)
	}
	image.Topics(func(topic *placement.Topic) bool {
		s.count++
		from := len(s.bytes)
		if at, ok := before.place(topic); ok {
			s.bytes = append(s.bytes, before.bytes[at.from:at.to]...)
		} else {
			m := metadataTopic{name: &topic.Name, id: topic.ID, topic: topic, operations: form.operations}
			s.bytes = appendMetadataTopic(s.bytes, form.version, form.naming, &m)
		}
		if topic.Partitions() >= wideMin {
			s.wide[topic] = sheetPlace{from, len(s.bytes)}
		}
		return true
	})
	return s
}

// place finds a wide topic. An image that changes a topic holds another value of it, so the pointer tells whether the bytes are right.
func (s *sheet) place(topic *placement.Topic) (sheetPlace, bool) {
	if s == nil {
		return sheetPlace{}, false
	}
	at, ok := s.wide[topic]
	return at, ok
}

// press has sheets printed. The shard that made it owns it; sheets may be looked up by all.
type press struct {
	own shard.Owner

	// Immutable after newPress.
	home model.ShardID

	// Owned by the shard.
	printing []*printing // one for each form at most
	next     int         // place that gives way next

	// Written by the shard, read by all. A sheet's pointer orders everything the sheet contains.
	sheets  [sheetsKept]atomic.Pointer[sheet]
	printed atomic.Uint64 // sheets, for tests and profiles
}

func newPress(t *shard.Turn) *press { return &press{own: shard.Own(t), home: t.Shard()} }

// find returns the sheet of the form for an image not older than this revision, if it is there.
func (p *press) find(form sheetForm, revision model.Revision) *sheet {
	if s := p.newest(form); s != nil && s.image.Revision() >= revision {
		return s
	}
	return nil
}

func (p *press) newest(form sheetForm) *sheet {
	for i := range p.sheets {
		if s := p.sheets[i].Load(); s != nil && s.form == form {
			return s
		}
	}
	return nil
}

// sheetAsk is mail: sent by a home shard to the press, and back with the sheet. done runs at home.
type sheetAsk struct {
	shard.Letter
	press *press
	home  model.ShardID
	form  sheetForm
	image *placement.Image // the answer is to be of this one or a later one
	sheet *sheet
	done  func(t *shard.Turn, s *sheet)
}

// Deliver hands the ask to the press, and the answer to its sender.
func (a *sheetAsk) Deliver(t *shard.Turn) {
	if a.sheet != nil {
		a.done(t, a.sheet)
		return
	}
	a.press.take(t, a)
}

func (p *press) take(t *shard.Turn, a *sheetAsk) {
	p.own.Check(t)
	if s := p.find(a.form, a.image.Revision()); s != nil {
		a.reply(t, s)
		return
	}
	for _, job := range p.printing {
		if job.form == a.form {
			job.waiting = append(job.waiting, a)
			return
		}
	}
	p.start(t, a.form, []*sheetAsk{a})
}

func (a *sheetAsk) reply(t *shard.Turn, s *sheet) {
	a.sheet = s
	t.Reply(a.home, a)
}

// start prints the form by the newest image any of those who wait has seen.
func (p *press) start(t *shard.Turn, form sheetForm, waiting []*sheetAsk) {
	job := &printing{press: p, form: form, waiting: waiting, before: p.newest(form)}
	for _, a := range waiting {
		if job.image == nil || a.image.Revision() > job.image.Revision() {
			job.image = a.image
		}
	}
	p.printing = append(p.printing, job)
	t.HelpBulk(job)
}

// printing is a helper's errand. Who asks while it is away waits with it; who has seen a later image waits for the next one.
type printing struct {
	shard.Letter
	press   *press
	form    sheetForm
	image   *placement.Image
	before  *sheet
	sheet   *sheet
	waiting []*sheetAsk // owned by the press
}

// Run encodes.
func (j *printing) Run() { j.sheet = printSheet(j.form, j.image, j.before) }

// Deliver publishes the sheet, back on the press's shard.
func (j *printing) Deliver(t *shard.Turn) {
	p := j.press
	p.own.Check(t)
	for i, job := range p.printing {
		if job == j {
			p.printing = append(p.printing[:i], p.printing[i+1:]...)
			break
		}
	}
	p.printed.Add(1)
	p.keep(j.sheet)
	var later []*sheetAsk
	for _, a := range j.waiting {
		if a.image.Revision() <= j.image.Revision() {
			a.reply(t, j.sheet)
		} else {
			later = append(later, a)
		}
	}
	if len(later) > 0 {
		p.start(t, j.form, later)
	}
}

// keep puts a sheet in the place of the last one of its form, or where one is free, or takes turns; then others go until all fit.
func (p *press) keep(s *sheet) {
	at := -1
	for i := range p.sheets {
		switch old := p.sheets[i].Load(); {
		case old != nil && old.form == s.form:
			at = i
		case old == nil && at < 0:
			at = i
		}
	}
	if at < 0 {
		at, p.next = p.next, (p.next+1)%sheetsKept
	}
	p.sheets[at].Store(s)
	total := 0
	for i := range p.sheets {
		if old := p.sheets[i].Load(); old != nil {
			total += len(old.bytes)
		}
	}
	for i := 0; i < sheetsKept && total > sheetBytesMax; i++ {
		if old := p.sheets[i].Load(); old != nil && i != at {
			total -= len(old.bytes)
			p.sheets[i].Store(nil)
		}
	}
}
