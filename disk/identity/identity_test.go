package identity

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinion/disk/device"
	"pinion/engine/model"
)

func openDir(t *testing.T, path string) device.Dir {
	t.Helper()
	dir, err := device.OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func want(node model.NodeID) Want { return Want{Node: node, Random: rand.Reader} }

// claim opens and closes at once.
func claim(t *testing.T, dir device.Dir, w Want) (*Claim, error) {
	t.Helper()
	c, err := Open(dir, w)
	if err == nil {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return c, err
}

func TestFirstStartAndSecond(t *testing.T) {
	dir := openDir(t, t.TempDir())
	first, err := claim(t, dir, want(3))
	if err != nil {
		t.Fatal(err)
	}
	if !first.Fresh || first.Adopted || first.Node != 3 || first.Format != Format || len(first.Cluster) != 22 || len(first.Directory) != 22 || first.Cluster == first.Directory {
		t.Fatalf("%+v", first)
	}
	second, err := claim(t, dir, want(3))
	if err != nil || second.Fresh || second.Adopted || second.Identity != first.Identity {
		t.Fatalf("%+v, %v", second, err)
	}
	w := want(3)
	w.Cluster = first.Cluster
	if _, err := claim(t, dir, w); err != nil {
		t.Fatal(err)
	}
}

func TestClusterIsTakenFromTheCaller(t *testing.T) {
	w := want(1)
	w.Cluster = "prod cluster:1"
	dir := openDir(t, t.TempDir())
	for range 2 { // written, then read back through its escapes
		if c, err := claim(t, dir, w); err != nil || c.Cluster != w.Cluster {
			t.Fatalf("%+v, %v", c, err)
		}
	}
}

func TestLockIsHeld(t *testing.T) {
	path := t.TempDir()
	c, err := Open(openDir(t, path), want(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(openDir(t, path), want(1)); !errors.Is(err, device.ErrLocked) {
		t.Fatalf("got %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(t, openDir(t, path), want(1)); err != nil {
		t.Fatal(err)
	}
}

const kafkas = "#\n#Sat Nov 22 10:00:00 UTC 2026\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\ndirectory.id=UoxYJTXzQZ6Ec7JfMhBlsA\nnode.id=1\nversion=1\n"

func TestKafkasDirectoryIsAdopted(t *testing.T) {
	path := t.TempDir()
	write(t, path, kafkas+"later.key=a\\:b\n")
	write2 := filepath.Join(path, "topic-0")
	if err := os.Mkdir(write2, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := openDir(t, path)
	c, err := claim(t, dir, want(1))
	if err != nil || !c.Adopted || c.Fresh || c.Cluster != "MkU3OEVBNTcwNTJENDM2Qg" || c.Directory != "UoxYJTXzQZ6Ec7JfMhBlsA" || c.Format != Format {
		t.Fatalf("%+v, %v", c, err)
	}
	data, err := os.ReadFile(filepath.Join(path, metaFile))
	if err != nil || !strings.Contains(string(data), "\nlater.key=a\\:b\n") || !strings.Contains(string(data), "\npinion.format=2\n") {
		t.Fatalf("%s, %v", data, err)
	}
	if again, err := claim(t, dir, want(1)); err != nil || again.Adopted || again.Identity != c.Identity {
		t.Fatalf("%+v, %v", again, err)
	}
}

// A directory of format 1 is raised to the current one at its first start, before anything else is written: a program that knows only format 1
// refuses it from then on. Tools that only look leave the number, and refuse what is newer.
func TestFormatIsRaised(t *testing.T) {
	path := t.TempDir()
	old := strings.Replace(kafkas, "version=1\n", "version=1\npinion.format=1\n", 1)
	write(t, path, old)
	dir := openDir(t, path)
	looked, err := Inspect(dir)
	if err != nil || looked.Format != 1 {
		t.Fatalf("%+v, %v", looked, err)
	}
	if err := looked.Close(); err != nil {
		t.Fatal(err)
	}
	if data, _ := os.ReadFile(filepath.Join(path, metaFile)); string(data) != old {
		t.Fatalf("looking changed it: %s", data)
	}
	c, err := claim(t, dir, want(1))
	if err != nil || c.Was != 1 || c.Format != Format || c.Fresh || c.Adopted {
		t.Fatalf("%+v, %v", c, err)
	}
	if data, _ := os.ReadFile(filepath.Join(path, metaFile)); !strings.Contains(string(data), "\npinion.format=2\n") {
		t.Fatalf("%s", data)
	}
	if again, err := claim(t, dir, want(1)); err != nil || again.Was != Format || again.Identity != c.Identity {
		t.Fatalf("%+v, %v", again, err)
	}
	write(t, path, strings.Replace(old, "format=1", "format=3", 1))
	var refusal *Refusal
	if _, err := Inspect(dir); !errors.As(err, &refusal) || !strings.Contains(refusal.Text, "newer pinion (format 3") {
		t.Fatalf("a tool on a newer format: %v", err)
	}
}

func TestOlderKafkaGetsADirectoryID(t *testing.T) {
	path := t.TempDir()
	write(t, path, "cluster.id=c\nnode.id=1\nversion=1\n")
	if c, err := claim(t, openDir(t, path), want(1)); err != nil || len(c.Directory) != 22 {
		t.Fatalf("%+v, %v", c, err)
	}
}

func TestRefusals(t *testing.T) {
	ours := strings.Replace(kafkas, "version=1\n", "version=1\npinion.format=1\n", 1)
	for _, c := range []struct{ name, meta, want string }{
		{"other node", strings.Replace(ours, "node.id=1", "node.id=2", 1), "belongs to node 2, but node.id is 1"},
		{"other cluster", strings.Replace(ours, "Mk", "Xk", 1), "belongs to cluster XkU3OEVBNTcwNTJENDM2Qg, not MkU3"},
		{"newer format", strings.Replace(ours, "format=1", "format=3", 1), "was written by a newer pinion (format 3, this one knows up to 2)"},
		{"newer format of another node", strings.NewReplacer("format=1", "format=3", "node.id=1", "node.id=7").Replace(ours), "newer pinion"},
		{"bad format", strings.Replace(ours, "format=1", "format=x", 1), "damaged: pinion.format"},
		{"ZooKeeper's", "version=0\nbroker.id=1\ncluster.id=c\n", "version 0 belongs to a Kafka broker under ZooKeeper"},
		{"newer file", strings.Replace(ours, "version=1", "version=2", 1), "version 2 is newer"},
		{"empty", "", "damaged: there is no version"},
		{"zeros", string(make([]byte, 200)), "damaged"},
		{"no node", strings.Replace(ours, "node.id=1\n", "", 1), "damaged: node.id is missing"},
		{"negative node", strings.Replace(ours, "node.id=1\n", "node.id=-1\n", 1), "damaged: node.id is missing"},
		{"no cluster", "version=1\nnode.id=1\n", "damaged: there is no cluster.id"},
		{"no directory", "version=1\nnode.id=1\ncluster.id=c\npinion.format=1\n", "damaged: there is no directory.id"},
		{"huge", strings.Repeat("#", metaBytesMax+1), "is larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := t.TempDir()
			write(t, path, c.meta)
			w := want(1)
			w.Cluster = "MkU3OEVBNTcwNTJENDM2Qg"
			_, err := claim(t, openDir(t, path), w)
			var refusal *Refusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), path) {
				t.Fatalf("got %v", err)
			}
			if after, _ := os.ReadFile(filepath.Join(path, metaFile)); string(after) != c.meta {
				t.Fatalf("the file was changed to %q", after)
			}
			if _, err := claim(t, openDir(t, path), w); !errors.As(err, &refusal) {
				t.Fatalf("the lock was kept: %v", err)
			}
		})
	}
}

func TestForeignDirectoryIsRefused(t *testing.T) {
	path := t.TempDir()
	if err := os.WriteFile(filepath.Join(path, "letter.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var refusal *Refusal
	if _, err := claim(t, openDir(t, path), want(1)); !errors.As(err, &refusal) || !strings.Contains(err.Error(), `holds "letter.txt" but no meta.properties`) {
		t.Fatalf("got %v", err)
	}
}

func TestFreshFileSystemIsEmpty(t *testing.T) {
	path := t.TempDir()
	if err := os.Mkdir(filepath.Join(path, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	if c, err := claim(t, openDir(t, path), want(1)); err != nil || !c.Fresh {
		t.Fatalf("%+v, %v", c, err)
	}
}

// cutDir ends the world at one call of Replace: before it, in the middle (the temporary file is there), or after it without an answer.
type cutDir struct {
	device.Dir
	stage int
	path  string
}

var errCut = errors.New("power cut")

func (d *cutDir) Replace(name string, data []byte) error {
	switch d.stage {
	case 1:
		if err := os.WriteFile(filepath.Join(d.path, name+".tmp"), data[:len(data)/2], 0o600); err != nil {
			return err
		}
	case 2:
		if err := d.Dir.Replace(name, data); err != nil {
			return err
		}
	}
	return errCut
}

func TestFirstStartSurvivesACut(t *testing.T) {
	for stage := range 3 {
		for _, adopted := range []bool{false, true} {
			path := t.TempDir()
			if adopted {
				write(t, path, kafkas)
			}
			if _, err := Open(&cutDir{Dir: openDir(t, path), stage: stage, path: path}, want(1)); !errors.Is(err, errCut) {
				t.Fatalf("stage %d: %v", stage, err)
			}
			c, err := claim(t, openDir(t, path), want(1))
			if err != nil || c.Format != Format || c.Directory == "" {
				t.Fatalf("stage %d, adopted %v: %+v, %v", stage, adopted, c, err)
			}
		}
	}
}

func TestNewID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id, err := NewID(rand.Reader)
		if err != nil || len(id) != 22 || id[0] == '-' || seen[id] {
			t.Fatalf("%q, %v", id, err)
		}
		seen[id] = true
	}
	if _, err := NewID(strings.NewReader("short")); err == nil {
		t.Fatal("an id from five bytes")
	}
	if _, err := NewID(bytes.NewReader(bytes.Repeat([]byte{0xf8}, 16*100))); err == nil { // 0xf8 is '-' and the rest
		t.Fatal("an id from a source that only gives a leading '-'")
	}
	mixed := io.MultiReader(bytes.NewReader(bytes.Repeat([]byte{0xf8}, 16)), rand.Reader)
	if id, err := NewID(mixed); err != nil || id[0] == '-' {
		t.Fatalf("%q, %v", id, err)
	}
}

func FuzzParseMeta(f *testing.F) {
	f.Add([]byte(kafkas))
	f.Add([]byte("version=1\nnode.id=1\ncluster.id=c\\=\\u0041\ndirectory.id=d\npinion.format=1\nx=\\\n y\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, refused := parseMeta(data)
		if refused != "" {
			return
		}
		if m.Directory == "" || m.Format == 0 {
			m.Directory, m.Format = "d", Format
		}
		again, refused := parseMeta(m.append(nil))
		if refused != "" || again.Identity != m.Identity {
			t.Fatalf("%q was written as %q and read as %+v, %s", data, m.append(nil), again, refused)
		}
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(path, metaFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
