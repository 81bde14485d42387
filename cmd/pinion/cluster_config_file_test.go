package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pinion/bench/harness"
)

// TestClusterConfigFiles: what was changed while brokers run is written as a file, compared with one, and made what one says, all or nothing.
func TestClusterConfigFiles(t *testing.T) {
	b := harness.Run(t, harness.Config{Set: []string{"log.retention.ms=5000"}})
	at := func(stdin string, args ...string) result {
		t.Helper()
		return pinionAt(t, b, stdin, append([]string{"cluster", "config"}, args...)...)
	}
	want := func(code int, table, stdin string, args ...string) {
		t.Helper()
		if r := at(stdin, args...); r.code != code || table != "*" && r.table() != table {
			t.Fatalf("%q: code %d, want %d\nout:\n%s\nwant:\n%s\nerr: %s", args, r.code, code, r.table(), table, r.err)
		}
	}
	lines := func(args ...string) string {
		t.Helper()
		r := at("", append([]string{"export"}, args...)...)
		if r.code != 0 || !strings.HasPrefix(r.out, "# Settings of ") {
			t.Fatalf("export: code %d: %s%s", r.code, r.out, r.err)
		}
		var set []string
		for line := range strings.Lines(r.out) {
			if !strings.HasPrefix(line, "#") {
				set = append(set, strings.TrimSpace(line))
			}
		}
		return strings.Join(set, "|")
	}
	if got := lines(); got != "" {
		t.Fatalf("nothing was changed: %q", got)
	}
	want(0, "*", "", "set", "log.retention.ms=9000", "max.connections=700")
	want(0, "*", "", "set", "max.connections=70", "--broker", "1")
	if got := lines(); got != "log.retention.ms=9000|max.connections=700" {
		t.Fatalf("cluster: %q", got)
	}
	if got := lines("--broker", "1"); got != "max.connections=70" {
		t.Fatalf("broker: %q", got)
	}
	whole := at("", "export").out
	const header = "KEY NOW THEN STATUS\n"
	want(0, "KEY NOW THEN STATUS", whole, "diff", "-")
	const file = "log.retention.ms = 8000\nmessage.max.bytes=\\\n  4096\n"
	const table = header + "log.retention.ms 9000 8000 %\nmax.connections 700 - %\nmessage.max.bytes - 4096 %"
	want(0, strings.ReplaceAll(table, "%", "-"), file, "diff", "-")
	want(2, "*", file, "import", "-") // nobody can be asked
	want(0, strings.ReplaceAll(table, "%", "would be changed"), file, "import", "-", "--dry-run")
	want(0, strings.ReplaceAll(table, "%", "OK"), file, "import", "-", "--yes")
	if got := lines(); got != "log.retention.ms=8000|message.max.bytes=4096" {
		t.Fatalf("imported: %q", got)
	}
	want(0, "*", "", "import", "--broker", "1", "--yes", os.DevNull)
	if got := lines("--broker", "1"); got != "" {
		t.Fatalf("broker, of nothing: %q", got)
	}
	// One that cannot be: nothing is changed.
	want(1, "*", "log.retention.ms=1\nlog.dirs=/elsewhere\n", "import", "-", "--yes")
	want(1, "*", "", "import", filepath.Join(t.TempDir(), "none"), "--yes")
	want(2, "*", "a=\\uXYZ", "diff", "-")
	if got := lines(); got != "log.retention.ms=8000|message.max.bytes=4096" {
		t.Fatalf("after refusals: %q", got)
	}
	var exported []struct{ Key, Value string }
	if r := at("", "export", "-o", "json"); json.Unmarshal([]byte(r.out), &exported) != nil || len(exported) != 2 || exported[1].Key != "message.max.bytes" || exported[1].Value != "4096" {
		t.Errorf("exported as JSON: %s%s", r.out, r.err)
	}
	for _, args := range [][]string{{"diff", "-"}, {"import", "-", "--dry-run"}} {
		var list []settingChange
		if r := at(whole, append(args, "-o", "json")...); json.Unmarshal([]byte(r.out), &list) != nil || len(list) != 3 || *list[0].Now != "8000" || *list[0].Then != "9000" || list[2].Then != nil {
			t.Errorf("%q as JSON: %s%s", args, r.out, r.err)
		}
	}
	want(0, "*", whole, "import", "-", "--yes")
	if got := lines(); got != "log.retention.ms=9000|max.connections=700" {
		t.Fatalf("back again: %q", got)
	}
}

// TestClusterConfigEdit: an editor's changes are made; what it leaves alone is not touched; what the broker refuses is kept.
func TestClusterConfigEdit(t *testing.T) {
	b := harness.Run(t, harness.Config{})
	pinionAt(t, b, "", "cluster", "config", "set", "log.retention.ms=9000", "max.connections=700").want(t, 0, "*")
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	edit := func(editor string, args ...string) result {
		t.Helper()
		var out, problems bytes.Buffer
		con := &console{in: strings.NewReader(""), out: &out, err: &problems, env: []string{"PINION_BROKERS=" + b.Addr, "VISUAL= ", "EDITOR=" + editor}}
		return result{run(t.Context(), con, append([]string{"cluster", "config", "edit"}, args...)), out.String(), problems.String()}
	}
	left := func() int {
		t.Helper()
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	if r := edit("sed -i s/9000/9500/"); r.code != 0 || r.table() != "KEY NOW THEN STATUS\nlog.retention.ms 9000 9500 OK" || left() != 0 {
		t.Fatalf("code %d, %d files left: %s%s", r.code, left(), r.out, r.err)
	}
	if r := edit("sed -i s/9500/9600/", "-o", "jsonl"); r.code != 0 || !json.Valid([]byte(r.out)) || !strings.Contains(r.out, `"then":"9600"`) {
		t.Fatalf("as JSON: code %d: %s%s", r.code, r.out, r.err)
	}
	if r := edit("true"); r.code != 0 || r.table() != "KEY NOW THEN STATUS" || left() != 0 {
		t.Fatalf("nothing edited: code %d, %d files left: %s%s", r.code, left(), r.out, r.err)
	}
	if r := edit("false"); r.code != 1 || left() != 1 || !strings.Contains(r.err, dir) {
		t.Fatalf("an editor that failed: code %d, %d files left: %s%s", r.code, left(), r.out, r.err)
	}
	if r := edit("sed -i s/9600/never/"); r.code != 1 || left() != 2 || !strings.Contains(r.out, "log.retention.ms") {
		t.Fatalf("a value that cannot be: code %d, %d files left: %s%s", r.code, left(), r.out, r.err)
	}
}
