package config

import (
	"strconv"
	"strings"
)

// keyLines finds the lines, counted from 1, on which each key of a .properties text begins. The properties library keeps no
// positions, so this is a second scan of the same grammar (java.util.Properties.load), which reads keys only.
func keyLines(text string) map[string][]int {
	found := map[string][]int{}
	continued := false
	number := 0
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		number++
		body := strings.TrimLeft(line, " \t\f")
		starts := !continued && body != "" && body[0] != '#' && body[0] != '!'
		if starts {
			key := scanKey(body)
			found[key] = append(found[key], number)
		}
		if starts || continued {
			continued = endsEscaped(line)
		}
	}
	return found
}

// endsEscaped reports whether the line ends in an odd number of backslashes, which makes the next one its continuation.
func endsEscaped(line string) bool {
	trimmed := strings.TrimRight(line, `\`)
	return (len(line)-len(trimmed))%2 == 1
}

// scanKey reads up to the first unescaped separator and undoes escapes.
func scanKey(body string) string {
	var key strings.Builder
	for i := 0; i < len(body); i++ {
		switch c := body[i]; c {
		case '=', ':', ' ', '\t', '\f':
			return key.String()
		case '\\':
			i++
			if i == len(body) {
				return key.String()
			}
			i += writeEscape(&key, body[i:])
		default:
			key.WriteByte(c)
		}
	}
	return key.String()
}

// writeEscape writes what the text after a backslash stands for and gives the bytes used beyond its first.
func writeEscape(key *strings.Builder, rest string) int {
	switch rest[0] {
	case 'n':
		key.WriteByte('\n')
	case 't':
		key.WriteByte('\t')
	case 'r':
		key.WriteByte('\r')
	case 'f':
		key.WriteByte('\f')
	case 'u':
		if len(rest) >= 5 {
			if code, err := strconv.ParseUint(rest[1:5], 16, 16); err == nil {
				key.WriteRune(rune(code))
				return 4
			}
		}
		key.WriteByte('u')
	default:
		key.WriteByte(rest[0])
	}
	return 0
}
