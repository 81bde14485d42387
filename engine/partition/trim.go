package partition

import (
	"slices"

	"pinion/engine/model"
	"pinion/engine/shard"
)

// DeleteRecords (API key 21): the log's start moves up for good. It is stored before it is answered, and moves when it is stored; asks
// that arrive meanwhile are stored together by one more write.

// trim takes an ask to delete what lies before an offset.
func (p *Partition) trim(t *shard.Turn, ask *QueryAsk) {
	to := ask.Before
	if to == TrimToHigh {
		to = p.marks.High
	}
	switch {
	case p.config.CleanupCompact && !p.config.CleanupDelete:
		ask.reply(t, Undeletable)
	case to < 0 || to > p.marks.High:
		ask.reply(t, OutOfRange)
	case p.closing:
		ask.reply(t, NotLeader)
	case to <= p.log.Start():
		p.trimmed(t, ask)
	default:
		ask.Before = to
		l := p.hall()
		l.trims = append(l.trims, ask)
		p.storeStart(t)
	}
}

// trimmed answers with the low watermark: the start of the only replica.
func (p *Partition) trimmed(t *shard.Turn, ask *QueryAsk) {
	ask.Offset = p.log.Start()
	ask.reply(t, OK)
}

// storeStart stores the furthest start asked for.
func (p *Partition) storeStart(t *shard.Turn) {
	trims := p.trims()
	if p.trimming || len(trims) == 0 || p.state != open || p.closing {
		return
	}
	to := model.Offset(0)
	for _, ask := range trims {
		to = max(to, ask.Before)
	}
	p.trimming = true
	work := p.log.StoreStart(to)
	if work == nil {
		// A truncation is under way, or retention went further.
		p.set.later(t, func(t *shard.Turn) {
			p.trimming = false
			p.answerTrims(t)
			p.storeStart(t)
		})
		return
	}
	p.caring++
	t.Help(&logWork{work: work, p: p, kind: workCare, then: func(t *shard.Turn, err error) {
		p.trimming = false
		if err != nil {
			p.refuseTrims(t, StorageFailed) // the disk is full, or the partition offline
			return
		}
		p.answerTrims(t)
		p.expireTrimmed(t)
		p.storeStart(t)
	}})
}

// answerTrims answers the asks that the start has reached, and those a truncation has left behind.
func (p *Partition) answerTrims(t *shard.Turn) {
	if p.state != open || p.lobby == nil {
		return
	}
	p.lobby.trims = slices.DeleteFunc(p.lobby.trims, func(ask *QueryAsk) bool {
		switch {
		case ask.Before <= p.log.Start():
			p.trimmed(t, ask)
		case ask.Before > p.marks.High:
			ask.reply(t, OutOfRange)
		default:
			return false
		}
		return true
	})
	p.tidyLobby()
}

func (p *Partition) refuseTrims(t *shard.Turn, code Code) {
	for _, ask := range p.takeTrims() {
		ask.reply(t, code)
	}
}

// expireTrimmed removes the segments below the start, as soon as no append is half done.
func (p *Partition) expireTrimmed(t *shard.Turn) {
	if p.state != open || p.closing {
		return
	}
	if p.preparing || p.staged.first != nil {
		p.set.later(t, p.expireTrimmed)
		return
	}
	p.expire(t)
}
