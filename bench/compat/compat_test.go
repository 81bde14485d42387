package compat

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"pinion/bench/versus"
)

const root = "../.."

const page = root + "/docs/compatibility.md"

var rewrite = flag.Bool("rewrite", false, "write docs/compatibility.md anew")

// The page in the repository is what the code says.
func TestDocumentIsCurrent(t *testing.T) {
	want, err := Document(root)
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/compatibility.md is not what the code says: run `make docs`")
	}
}

func TestEveryAdvertisedVersionIsExercised(t *testing.T) {
	for _, kv := range unclaimed() {
		t.Errorf("key %d v%d is advertised, and nobody claims to exercise it", kv.Key, kv.Version)
	}
}

// A claim is held against what was seen, in both directions.
func TestClaimsAreHeldAgainstTheWire(t *testing.T) {
	seen := map[versus.KeyVersion]int{}
	for kv := range claimOf(FranzGo).versions() {
		seen[kv] = 1
	}
	if wrong := Check(FranzGo, seen); wrong != nil {
		t.Errorf("everything was seen: %v", wrong)
	}
	delete(seen, versus.KeyVersion{Key: 1, Version: 12})
	seen[versus.KeyVersion{Key: 24, Version: 2}] = 1
	wrong := strings.Join(Check(FranzGo, seen), "; ")
	for _, want := range []string{"claims key 1 v12, and it was not seen", "exercises key 24 v2, and the table"} {
		if !strings.Contains(wrong, want) {
			t.Errorf("%q is not in %q", want, wrong)
		}
	}
	if len(Check("nobody", nil)) == 0 {
		t.Error("nobody's claim holds")
	}
}
