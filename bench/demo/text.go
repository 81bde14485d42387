package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pierrec/lz4/v4"
)

// text is what is sent: the lines of some files, each under its file's path as key, in the order of the files, and from the
// beginning again until there is enough.
type text struct {
	files []string
	once  int64 // bytes of lines in one round
	want  int64
}

const (
	fileMax = 256 << 20 // larger files are left out
	lineMax = 64 << 10  // longer lines are sent in pieces
	keyEnd  = '\t'      // between key and value for kcat; no key contains it
	lineEnd = '\n'
)

// roots are where text is looked for: Go's own source, the modules' source, lists of packages, and documentation.
func roots() []string {
	cache := os.Getenv("GOMODCACHE")
	if cache == "" {
		home, _ := os.UserHomeDir()
		cache = filepath.Join(home, "go", "pkg", "mod")
	}
	goroot := os.Getenv("GOROOT")
	if goroot == "" {
		goroot = "/usr/local/go"
	}
	if runtime.GOOS != "linux" {
		return []string{goroot, cache}
	}
	return []string{filepath.Join(goroot, "src"), cache, "/var/lib/apt/lists", "/usr/share"}
}

// gather finds text files until they are enough, or there are no more.
func gather(want int64) (*text, error) {
	c := &text{want: want}
	for _, root := range roots() {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.ContainsAny(path, "\t\n") {
				return nil // what may not be read is not sent
			}
			if c.once >= want {
				return fs.SkipAll
			}
			content, err := load(path)
			if err != nil || len(content) == 0 || bytes.IndexByte(content, 0) >= 0 {
				return nil
			}
			c.files = append(c.files, path)
			eachLine(content, func(line []byte) { c.once += int64(len(line)) })
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for text in %s: %w", root, err)
		}
	}
	if len(c.files) == 0 {
		return nil, errors.New("no text on this machine")
	}
	return c, nil
}

func (c *text) rounds() float64 { return max(1, float64(c.want)/float64(c.once)) }

// load reads a file, unpacked.
func load(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var in io.Reader = f
	switch filepath.Ext(path) {
	case ".gz":
		if in, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	case ".lz4":
		in = lz4.NewReader(f)
	}
	b, err := io.ReadAll(io.LimitReader(in, fileMax+1))
	if err == nil && len(b) > fileMax {
		err = fmt.Errorf("%s is larger than %d bytes", path, fileMax)
	}
	return b, err
}

// eachLine calls with every line, without its end.
func eachLine(b []byte, each func(line []byte)) {
	for len(b) > 0 {
		n := bytes.IndexByte(b, lineEnd)
		end := n + 1
		if n < 0 {
			n, end = len(b), len(b)
		}
		if n > lineMax {
			n, end = lineMax, lineMax
		}
		each(b[:n])
		b = b[end:]
	}
}

// each calls with every record. All lines of a file go to one partition, so that a file can be put together again. The slices
// stay valid and unchanged.
func (c *text) each(send func(partition int32, key, value []byte) error) error {
	for sent := int64(0); sent < c.want; {
		for _, path := range c.files {
			content, err := load(path)
			if err != nil {
				return fmt.Errorf("a file changed meanwhile: %w", err)
			}
			key := []byte(path)
			partition := partitionOf(path)
			eachLine(content, func(line []byte) {
				sent += int64(len(line))
				if err == nil {
					err = send(partition, key, line)
				}
			})
			if err != nil || sent >= c.want {
				return err
			}
		}
	}
	return nil
}

func partitionOf(path string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(path))
	return int32(h.Sum32() % partitions)
}
