package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"pinion/bench/harness"
)

// auditReport is what `pinion check -o json` says.
type auditReport struct {
	Journal struct {
		Records int
		Batches int `json:"batches_segments_lack"`
	}
	Findings []struct {
		File    string
		Problem string
		Mended  bool `json:"mended_by_start"`
	}
}

// checked runs check on a directory.
func checked(t *testing.T, dir string) (int, auditReport) {
	t.Helper()
	code, out, complaints := pinion(t, "check", dir, "-o", "json")
	var reports []auditReport
	if err := json.Unmarshal([]byte(out), &reports); err != nil || len(reports) != 1 {
		t.Fatalf("check gives %d, %v\n%s%s", code, err, out, complaints)
	}
	return code, reports[0]
}

// TestCheckReadsTheJournal: after a kill the segments may lack what the journal has, which is no damage; a journal that is damaged, or
// does not go on where a log ends, is one, and a start says so too.
func TestCheckReadsTheJournal(t *testing.T) {
	const count = 400
	dir := filepath.Join(t.TempDir(), "data")
	b, err := harness.Start(harness.Config{Dir: dir, Set: corpseSettings})
	if err != nil {
		t.Fatal(err)
	}
	fsync := "fsync"
	createTopic(t, b, "safe", 1, map[string]*string{"pinion.durability": &fsync})
	cl := newClient(t, b, kgo.DefaultProduceTopic("safe"), kgo.ProducerBatchCompression(kgo.NoCompression()))
	for n := range count { // one batch each
		if err := cl.ProduceSync(testContext(t), kgo.StringRecord(fmt.Sprintf("record %d", n))).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	segment, journal := filepath.Join("safe-0", fmt.Sprintf("%020d.log", 0)), filepath.Join("journal", "0000.journal")
	for _, c := range []struct {
		name      string
		hurt      func(dir string) error
		code      int
		file      string // of the finding; empty: none is wanted
		lacks     int    // batches that the segments lack, -1: some
		starts    bool
		endOffset int
	}{
		{name: "as it was left", hurt: func(string) error { return nil }, starts: true, endOffset: count},
		{name: "the segment lost its end", hurt: func(dir string) error { return halve(filepath.Join(dir, segment)) }, file: segment, lacks: -1, starts: true, endOffset: count},
		{name: "the folder is lost", hurt: func(dir string) error { return os.RemoveAll(filepath.Join(dir, "safe-0")) }, lacks: count, starts: true, endOffset: count},
		{name: "a record in the middle is damaged", hurt: func(dir string) error { return spoil(filepath.Join(dir, journal), func(at int) int { return at / 2 }) }, code: 4, file: journal},
		{name: "the last record is torn", hurt: func(dir string) error { return spoil(filepath.Join(dir, journal), func(at int) int { return at }) }, starts: true, endOffset: count},
		{name: "the segment is another's", hurt: func(dir string) error {
			return os.Rename(filepath.Join(dir, segment), filepath.Join(dir, "safe-0", fmt.Sprintf("%020d.log", 7)))
		}, code: 4, file: segment},
	} {
		t.Run(c.name, func(t *testing.T) {
			copied := filepath.Join(t.TempDir(), "data")
			if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if err := c.hurt(copied); err != nil {
				t.Fatal(err)
			}
			code, report := checked(t, copied)
			if code != c.code || report.Journal.Batches != c.lacks && !(c.lacks < 0 && report.Journal.Batches > 0) {
				t.Errorf("check gives %d, %+v", code, report)
			}
			named := c.file == ""
			for _, f := range report.Findings {
				named = named || f.File == c.file && f.Mended == (c.code == 0)
			}
			if !named || c.code != 4 && report.Journal.Records < count {
				t.Errorf("%+v", report)
			}
			b, err := harness.Launch(harness.Config{Dir: copied, Set: corpseSettings})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Kill() }()
			select {
			case <-b.Ended():
				if c.starts || !strings.Contains(b.Log(), c.file) {
					t.Errorf("the broker ends:\n%s", b.Log())
				}
				return
			case <-b.Serving():
			}
			if !c.starts {
				// One partition is offline, once its turn to be opened has come; the broker serves the others.
				for end := time.Now().Add(20 * time.Second); !strings.Contains(b.Log(), "partition offline"); time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("the broker serves what is damaged:\n%s", b.Log())
					}
				}
				return
			}
			if end := ends(t, b, "safe")[0]; end != int64(c.endOffset) {
				t.Errorf("the log ends at %d", end)
			}
		})
	}
}

// halve cuts a file to half, in the middle of a batch or not.
func halve(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return os.Truncate(name, info.Size()/2)
}

// spoil changes a byte of the journal's record that begins at or before a place, which is chosen from where the last one begins.
func spoil(name string, choose func(last int) int) error {
	raw, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	const sector, magic = 512, "PNJ1"
	last := bytes.LastIndex(raw, []byte(magic))
	at := choose(last) / sector * sector
	for string(raw[at:at+len(magic)]) != magic {
		at -= sector
	}
	raw[at+100] ^= 1
	return os.WriteFile(name, raw, 0o600)
}
