package versus

import "strings"

// Difference is one way in which Pinion answers differently from Apache Kafka on purpose. Empty fields match anything; In a pattern * stands
// for any text, and | for or.
type Difference struct {
	What string // for people, the difference in a sentence
	Why  string

	Keys          []int16 // nil for all
	Step, Path    string
	Kafka, Pinion string
}

func (d *Difference) explains(f *difference) bool {
	if d.Keys != nil {
		found := false
		for _, key := range d.Keys {
			found = found || key == f.at.Key
		}
		if !found {
			return false
		}
	}
	return matches(d.Step, f.step) && matches(d.Path, f.path) && matches(d.Kafka, f.kafka) && matches(d.Pinion, f.pinion)
}

// explanation is the first entry of Intended that explains a difference, -1 if none does.
func explanation(f *difference) int {
	for i := range Intended {
		if Intended[i].explains(f) {
			return i
		}
	}
	return -1
}

// matches compares a text with patterns, any of which may fit.
func matches(patterns, text string) bool {
	for pattern := range strings.SplitSeq(patterns, "|") {
		if patterns == "" || fits(pattern, text) {
			return true
		}
	}
	return false
}

func fits(pattern, text string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(text, part)
		}
		_, after, ok := strings.Cut(text, part)
		if !ok {
			return false
		}
		text, rest = after, next
	}
}
