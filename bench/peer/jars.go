package peer

import (
	"context"
	"crypto/sha256"
	_ "embed" // of pom.xml
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Version is the Apache Kafka that pom.xml names.
const Version = "4.3.1"

//go:embed pom.xml
var pom []byte

// installMax bounds the download of the jars.
const installMax = 5 * time.Minute

// ErrMissing is wrapped where Java, Maven or the jars are not there and cannot be had.
var ErrMissing = errors.New("Apache Kafka is not there")

// Jars is the folder of Kafka's jars in the user's cache, filled by Maven at the first call.
func Jars(ctx context.Context) (string, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("%w: %s is not installed", ErrMissing, tool)
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	hash := sha256.Sum256(pom)
	dir := filepath.Join(cache, "pinion", "peer", "kafka-"+hex.EncodeToString(hash[:6]))
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	f, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock of the jars: %w", err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock of the jars: %w", err)
	}
	if _, err := os.Stat(dir + ".complete"); err == nil {
		return dir, nil
	}
	// What an installation that was cut short left behind is not worth repairing.
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("clear %s: %w", dir, err)
	}
	if err := download(ctx, dir); err != nil {
		return "", fmt.Errorf("%w: %w", ErrMissing, err)
	}
	return dir, os.WriteFile(dir+".complete", nil, 0o644)
}

func download(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, installMax)
	defer cancel()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	list := dir + ".pom.xml"
	if err := os.WriteFile(list, pom, 0o644); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "mvn", "-q", "-B", "-f", list, "dependency:copy-dependencies", "-DoutputDirectory="+dir).CombinedOutput()
	if err != nil {
		text := strings.TrimSpace(string(out))
		return fmt.Errorf("maven: %w: %s", err, text[max(0, len(text)-1000):])
	}
	return nil
}

// installed reports whether the jars are in the cache.
func installed() bool {
	cache, err := os.UserCacheDir()
	if err != nil {
		return false
	}
	hash := sha256.Sum256(pom)
	_, err = os.Stat(filepath.Join(cache, "pinion", "peer", "kafka-"+hex.EncodeToString(hash[:6])+".complete"))
	return err == nil
}
