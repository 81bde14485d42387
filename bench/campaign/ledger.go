package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"time"

	"pinion/bench/machine"
	"pinion/bench/measure"
	"pinion/bench/results"
)

// entry is one round of one row for one peer, or for a loop beside them. It is one file.
type entry struct {
	Row     string          `json:"row"`
	Peer    string          `json:"peer"` // or the loop: limit, answers
	Round   int             `json:"round"`
	Time    time.Time       `json:"time"`
	Figures measure.Figures `json:"figures"`
	Error   string          `json:"error,omitempty"` // why there are no figures, or only some
}

// session is what one run of this command measured under. A campaign that was gone on with has several.
type session struct {
	Time        time.Time           `json:"time"`
	Commit      string              `json:"commit"`
	Environment machine.Environment `json:"environment"`
	Settings    map[string]string   `json:"settings"`
	Versions    map[string]string   `json:"versions"`
	Configs     map[string][]string `json:"configs"` // of each peer: what is not a default, and what decides durability
}

// ledger is the folder of a campaign's figures.
type ledger struct {
	dir      string
	entries  []entry
	sessions []session
}

func openLedger(dir string) (*ledger, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder of the figures: %w", err)
	}
	l := &ledger{dir: dir}
	if err := readAll(filepath.Join(dir, "round-*.json"), &l.entries); err != nil {
		return nil, err
	}
	if err := readAll(filepath.Join(dir, "session-*.json"), &l.sessions); err != nil {
		return nil, err
	}
	return l, nil
}

func readAll[T any](pattern string, into *[]T) error {
	names, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		var one T
		if err := json.Unmarshal(text, &one); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		*into = append(*into, one)
	}
	return nil
}

// has reports whether a round is known already. One that failed is tried again.
func (l *ledger) has(row, peer string, round int) bool {
	for _, e := range l.entries {
		if e.Row == row && e.Peer == peer && e.Round == round && e.Error == "" {
			return true
		}
	}
	return false
}

func (l *ledger) add(e entry) error {
	e.Time = time.Now().UTC()
	for i, old := range l.entries {
		if old.Row == e.Row && old.Peer == e.Peer && old.Round == e.Round {
			l.entries = append(l.entries[:i], l.entries[i+1:]...)
			break
		}
	}
	l.entries = append(l.entries, e)
	return results.WriteJSON(filepath.Join(l.dir, fmt.Sprintf("round-%s-%s-%02d.json", e.Row, e.Peer, e.Round)), e)
}

func (l *ledger) addSession(s session) error {
	l.sessions = append(l.sessions, s)
	return results.WriteJSON(filepath.Join(l.dir, "session-"+s.Time.Format("20060102T150405")+".json"), s)
}

// rounds gives a figure of all rounds of a row.
func (l *ledger) rounds(row, peer, figure string) (list []float64) {
	for _, e := range l.entries {
		if v, ok := e.Figures[figure]; ok && e.Row == row && e.Peer == peer && e.Error == "" {
			list = append(list, v)
		}
	}
	return list
}

// failure gives the words of a row that failed in every round, or nothing.
func (l *ledger) failure(row, peer string) string {
	words := ""
	for _, e := range l.entries {
		if e.Row != row || e.Peer != peer {
			continue
		}
		if e.Error == "" {
			return ""
		}
		words = e.Error
	}
	return words
}
