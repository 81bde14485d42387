package front

import "os"

// hostName is what a listener on every address is advertised as when nothing else is configured, as Kafka does.
func hostName() string {
	if name, err := os.Hostname(); err == nil && name != "" {
		return name
	}
	return "localhost"
}
