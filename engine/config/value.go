package config

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// normalize checks a value against its key and gives it in the form the typed readers expect: trimmed, sizes and durations as
// bare numbers in the key's unit. Keys without effect are not held to anything, so that a foreign file starts.
// The second result says what is wrong, empty when nothing is.
func (k *Key) normalize(raw string) (value, wrong string) {
	value = strings.TrimSpace(raw) // Kafka trims every value as well
	if !k.Effective() && !k.read {
		return value, ""
	}
	switch k.Kind {
	case KindBool:
		value = strings.ToLower(value)
		if value != "true" && value != "false" {
			return "", fmt.Sprintf("%q is neither true nor false", raw)
		}
	case KindInt, KindShort, KindLong:
		return k.normalizeNumber(value)
	case KindDouble:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsNaN(n) || n < k.lower || n > k.upper {
			return "", fmt.Sprintf("%q is not a number in range", raw)
		}
	default:
		return value, k.wrongChoice(value)
	}
	return value, ""
}

func (k *Key) wrongChoice(value string) string {
	if k.choices == nil {
		return ""
	}
	items := []string{value}
	if k.Kind == KindList {
		items = splitList(value)
	}
	for _, item := range items {
		if !contains(k.choices, item) {
			return fmt.Sprintf("%q is not one of %s", item, strings.Join(k.choices, ", "))
		}
	}
	return ""
}

func (k *Key) normalizeNumber(value string) (string, string) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		var wrong string
		switch {
		case k.Unit == UnitBytes:
			n, wrong = parseSize(value)
		case k.Unit != UnitNone:
			n, wrong = parseDuration(value, k.Unit)
		default:
			wrong = fmt.Sprintf("%q is not a whole number", value)
		}
		if wrong != "" {
			return "", wrong
		}
	}
	lower, upper := k.bounds()
	if n < lower || n > upper {
		return "", fmt.Sprintf("%d is out of range", n)
	}
	return strconv.FormatInt(n, 10), ""
}

// bounds are the smallest and largest whole number the key takes: its range within its kind.
func (k *Key) bounds() (lower, upper int64) {
	lower, upper = math.MinInt64, math.MaxInt64
	switch k.Kind {
	case KindInt:
		lower, upper = math.MinInt32, math.MaxInt32
	case KindShort:
		lower, upper = math.MinInt16, math.MaxInt16
	}
	if k.lower > float64(lower) {
		lower = int64(k.lower)
	}
	if k.upper < float64(upper) {
		upper = int64(k.upper)
	}
	return lower, upper
}

// want describes what a value must be, for messages: type, unit, range and default.
func (k *Key) want() string {
	var b strings.Builder
	b.WriteString("want ")
	switch {
	case k.choices != nil && k.Kind == KindList:
		b.WriteString("a list of " + strings.Join(k.choices, ", "))
	case k.choices != nil:
		b.WriteString(strings.Join(k.choices, " or "))
	case k.Kind == KindBool:
		b.WriteString("true or false")
	default:
		b.WriteString(k.Kind.String())
		if k.Unit != UnitNone {
			b.WriteString(" in " + units[k.Unit].plural)
		}
		b.WriteString(k.wantRange())
	}
	if k.HasDefault {
		b.WriteString("; default " + k.Default)
	}
	return b.String()
}

func (k *Key) wantRange() string {
	switch {
	case !math.IsInf(k.lower, 0) && !math.IsInf(k.upper, 0):
		return fmt.Sprintf(", %v to %v", number(k.lower), number(k.upper))
	case !math.IsInf(k.lower, 0):
		return fmt.Sprintf(", %v or more", number(k.lower))
	}
	return ""
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

var sizeUnits = []struct {
	suffix string
	shift  uint
}{{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}, {"B", 0}}

// parseSize reads 10MiB or 4096B. Forms that people use for both 1000 and 1024 (mb, MB, m) are refused with the form to use.
func parseSize(text string) (n int64, wrong string) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil {
			break
		}
		if n > math.MaxInt64>>u.shift || n < 0 {
			return 0, text + " is out of range"
		}
		return n << u.shift, ""
	}
	if n, shift, ok := guessSize(text); ok {
		return 0, fmt.Sprintf("%s is not a size (use %d%siB or %d)", text, n, strings.ToUpper(text[len(text)-suffixLen(text):][:1]), n<<shift)
	}
	return 0, fmt.Sprintf("%q is not a size (use 10MiB or 10485760)", text)
}

// guessSize recognises 10mb, 10M, 10Mb and the like.
func guessSize(text string) (n int64, shift uint, ok bool) {
	length := suffixLen(text)
	if length == 0 {
		return 0, 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text[:len(text)-length]), 10, 64)
	if err != nil || n < 0 {
		return 0, 0, false
	}
	index := strings.IndexByte("kmgt", text[len(text)-length]|0x20)
	if index < 0 || n > math.MaxInt64>>(10*(index+1)) {
		return 0, 0, false
	}
	rest := strings.ToLower(text[len(text)-length+1:])
	return n, uint(10 * (index + 1)), rest == "" || rest == "b" || rest == "ib" || rest == "i"
}

// suffixLen is the length of the letters at the end.
func suffixLen(text string) int {
	return len(text) - len(strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
}

var durationUnits = []struct {
	suffix       string
	milliseconds int64
}{{"ms", 1}, {"s", 1000}, {"m", 60_000}, {"h", 3_600_000}, {"d", 86_400_000}, {"w", 7 * 86_400_000}}

// parseDuration reads 7d, 1h30m or 500ms into the unit.
func parseDuration(text string, unit Unit) (n int64, wrong string) {
	var total int64
	notDuration := fmt.Sprintf("%q is not a duration (use 7d, 12h, 30m, 45s, 500ms or a number of %s)", text, units[unit].plural)
	rest := text
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		count, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, notDuration
		}
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		each := durationUnit(rest[:letters])
		if each == 0 {
			return 0, notDuration
		}
		rest = rest[letters:]
		high, low := bits.Mul64(uint64(count), uint64(each))
		if high != 0 || low > uint64(math.MaxInt64-total) {
			return 0, text + " is out of range"
		}
		total += int64(low)
	}
	if text == "" {
		return 0, notDuration
	}
	if total%units[unit].milliseconds != 0 {
		return 0, fmt.Sprintf("%s is not a whole number of %s", text, units[unit].plural)
	}
	return total / units[unit].milliseconds, ""
}

func durationUnit(suffix string) int64 {
	for _, u := range durationUnits {
		if u.suffix == suffix {
			return u.milliseconds
		}
	}
	return 0
}

// splitList splits Kafka's comma-separated lists; an empty text is an empty list.
func splitList(text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func contains(list []string, item string) bool {
	for _, have := range list {
		if have == item {
			return true
		}
	}
	return false
}
