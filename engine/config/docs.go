package config

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed docs.text
var docsText string

var docs = sync.OnceValue(func() map[string]string {
	texts := map[string]string{}
	for line := range strings.Lines(docsText) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(name, "#") {
			texts[name] = text
		}
	}
	// A broker's default is documented by what it is a default of. The first topic key in order of name wins.
	for _, row := range topicKeys().rows {
		for _, s := range row.broker {
			if texts[s.name] == "" {
				texts[s.name] = "The default of a topic's " + row.Name + ". " + texts[row.Name]
			}
		}
	}
	return texts
})

// Documentation says what a described key does, and what it does not do here (DescribeConfigs 3+, KIP-226). Empty for an unknown key.
func (e *Entry) Documentation() string {
	if e.key == nil {
		return ""
	}
	text := docs()[e.Name]
	if idle := e.key.Idle(); idle != "" {
		text = strings.TrimSpace(text + " It " + idle + ".")
	}
	return text
}
