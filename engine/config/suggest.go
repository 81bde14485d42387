package config

import "strings"

// Suggest names the broker key most like a misspelt one, or nothing when none is near.
func Suggest(name string) string {
	return suggest(name, brokerKeys())
}

// SuggestTopic does the same for topic keys.
func SuggestTopic(name string) string { return suggest(name, topicKeys()) }

// suggest prefers, of equally near keys, one that has an effect. Near is at most two edits, or one in five letters.
func suggest(name string, keys *table) string {
	name = strings.ToLower(name)
	best, bestDistance := "", max(2, len(name)/5)+1
	effective := false
	if len(name) > 100 {
		return ""
	}
	for _, key := range keys.rows {
		distance := editDistance(name, strings.ToLower(key.Name))
		if distance < bestDistance || distance == bestDistance && best != "" && key.Effective() && !effective {
			best, bestDistance, effective = key.Name, distance, key.Effective()
		}
	}
	return best
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
func editDistance(a, b string) int {
	before, previous, current := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}

// Nearest names the candidate most like a misspelt name, or nothing when none is near.
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", max(2, len(name)/5)+1
	for _, candidate := range candidates {
		if len(name) > 300 || len(candidate) > 300 {
			continue
		}
		if distance := editDistance(strings.ToLower(name), strings.ToLower(candidate)); distance < bestDistance {
			best, bestDistance = candidate, distance
		}
	}
	return best
}
