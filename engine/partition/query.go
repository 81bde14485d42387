package partition

import (
	"pinion/disk/log"
	"pinion/engine/model"
	"pinion/engine/shard"
)

// query answers a question about one partition.
func (s *Set) query(t *shard.Turn, ask *QueryAsk) {
	p, code := s.find(t, ask.Partition)
	if code == OK {
		code = p.verdict()
	}
	switch {
	case code != OK:
		ask.reply(t, code)
	case p.state == opening:
		p.asked = append(p.asked, ask)
	default:
		p.answer(t, ask)
	}
}

func (p *Partition) answer(t *shard.Turn, ask *QueryAsk) {
	if code := p.epochCode(ask.Epoch); code != OK {
		ask.reply(t, code)
		return
	}
	ask.Timestamp, ask.LeaderEpoch = -1, model.NoEpoch
	switch ask.Query {
	case QueryEarliest:
		ask.Offset = p.log.Start()
		ask.LeaderEpoch = p.log.EpochAt(ask.Offset)
	case QueryLatest:
		ask.Offset = p.marks.Visible(ask.Committed)
		ask.LeaderEpoch = p.epoch
	case QueryEpochEnd:
		p.answerEpoch(ask)
	case QueryProducers:
		ask.Producers = p.producers.Active()
	case QueryTrim:
		p.trim(t, ask)
		return
	case QueryTime, QueryMaxTime:
		p.search(t, ask)
		return
	}
	ask.reply(t, OK)
}

// answerEpoch tells where the log of an epoch ends. The current epoch ends at the log end even before it has a record.
func (p *Partition) answerEpoch(ask *QueryAsk) {
	switch {
	case ask.Ending == p.epoch:
		ask.LeaderEpoch, ask.Offset = p.epoch, p.marks.End
	case ask.Ending > p.epoch:
		ask.LeaderEpoch, ask.Offset = model.NoEpoch, -1
	default:
		ask.LeaderEpoch, ask.Offset = p.log.EpochEnd(ask.Ending)
	}
}

// search looks for a timestamp on a helper: it may read and decompress a batch.
func (p *Partition) search(t *shard.Turn, ask *QueryAsk) {
	var work *log.Work
	if ask.Query == QueryMaxTime {
		work = p.log.MaxTime()
	} else {
		work = p.log.FindTime(ask.Time)
	}
	p.helpBulk(t, work, func(t *shard.Turn, err error) {
		if err != nil {
			ask.reply(t, StorageFailed)
			return
		}
		if work.Stale() {
			p.search(t, ask)
			return
		}
		offset, timestamp, epoch, ok := work.Time()
		if !ok || offset >= p.marks.Visible(ask.Committed) {
			ask.Offset = -1
			ask.reply(t, NoTimestamp)
			return
		}
		ask.Offset, ask.Timestamp, ask.LeaderEpoch = offset, timestamp, epoch
		ask.reply(t, OK)
	})
}
