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
	case code == StorageFailed && ask.Query.bounds() && p.readable(false) > 0:
		p.answer(t, ask) // of the records that readers still get
	case code != OK:
		ask.reply(t, code)
	case p.state == opening || p.frozen:
		l := p.hall()
		l.asked = append(l.asked, ask)
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
		if ask.LeaderEpoch = p.log.EpochAt(ask.Offset); ask.LeaderEpoch == model.NoEpoch && ask.Offset == p.marks.End {
			ask.LeaderEpoch = p.epoch // the leader's epoch begins where it took over, with or without a record
		}
	case QueryLatest:
		ask.Offset = p.readable(ask.Committed)
		ask.LeaderEpoch = p.epoch
	case QueryEpochEnd:
		p.answerEpoch(ask)
	case QueryProducers:
		ask.Producers = p.producers.Active()
	case QueryTrim:
		p.trim(t, ask)
		return
	case QueryRelocate:
		p.relocate(t, ask)
		return
	case QueryTime, QueryMaxTime:
		p.search(t, ask)
		return
	}
	ask.reply(t, OK)
}

// answerEpoch tells where the log of an epoch ends.
func (p *Partition) answerEpoch(ask *QueryAsk) { ask.LeaderEpoch, ask.Offset = p.epochEnd(ask.Ending) }

// epochEnd is the largest epoch not above the one asked for, and where it ends; NoEpoch and -1 where that is unknown. The current epoch
// ends at the log end even before it has a record, and what came before a log without records ended where the log starts.
func (p *Partition) epochEnd(asked model.Epoch) (model.Epoch, model.Offset) {
	switch {
	case asked == model.NoEpoch || asked > p.epoch:
		return model.NoEpoch, -1
	case asked == p.epoch:
		return p.epoch, p.marks.End
	}
	at, end := p.log.EpochEnd(asked)
	if at == model.NoEpoch && p.log.Start() == p.marks.End {
		return asked, p.marks.End
	}
	return at, end
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
