package main

import (
	"bufio"
	"bytes"
	"os/exec"
	"strings"
	"testing"
	"time"

	"pinion/bench/harness"
)

func summed(records ...[3]string) [32]byte {
	l := newLedger()
	for _, r := range records {
		l.add(int32(r[0][0]-'0'), []byte(r[1]), []byte(r[2]))
	}
	return l.sum()
}

func TestSumsSeeOrderWithinAPartitionOnly(t *testing.T) {
	a, b, c := [3]string{"0", "k", "one"}, [3]string{"0", "k", "two"}, [3]string{"1", "k", "three"}
	want := summed(a, b, c)
	if summed(c, a, b) != want || summed(a, c, b) != want {
		t.Error("the order between partitions matters")
	}
	for name, other := range map[string][32]byte{
		"swapped":        summed(b, a, c),
		"lost":           summed(a, c),
		"doubled":        summed(a, a, b, c),
		"other key":      summed([3]string{"0", "K", "one"}, b, c),
		"moved":          summed(a, [3]string{"1", "k", "two"}, c),
		"shifted border": summed([3]string{"0", "ko", "ne"}, b, c),
	} {
		if other == want {
			t.Errorf("%s: same sum", name)
		}
	}
	null, empty := newLedger(), newLedger()
	null.add(0, nil, nil)
	empty.add(0, []byte{}, []byte{})
	if null.sum() == empty.sum() {
		t.Error("null and empty are the same")
	}
}

func TestSumDoesNotDependOnBuffering(t *testing.T) {
	l, big := newLedger(), bytes.Repeat([]byte("x"), 3*streamBuffer)
	l.add(2, big, big)
	first := l.sum()
	if l.sum() != first {
		t.Error("asking changes the sum")
	}
}

func TestKcatOutputIsReadBack(t *testing.T) {
	sums := newLedger()
	if err := parse(bufio.NewReader(strings.NewReader("0 1 3 kone0 1 3 ktwo1 -1 0 3 2 -1 ab")), sums); err != nil {
		t.Fatal(err)
	}
	want := newLedger()
	want.add(0, []byte("k"), []byte("one"))
	want.add(0, []byte("k"), []byte("two"))
	want.add(1, nil, []byte{})
	want.add(3, []byte("ab"), nil)
	if sums.sum() != want.sum() {
		t.Error("sums differ")
	}
	for _, bad := range []string{"0 1 3 ko", "9 1 1 ab", "0 1", "x 1 1 ab"} {
		if err := parse(bufio.NewReader(strings.NewReader(bad)), newLedger()); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestLinesArePutTogetherAgain(t *testing.T) {
	long := strings.Repeat("x", lineMax) + "yz"
	var got []string
	eachLine([]byte("a\n\nb\t\n"+long+"\nlast"), func(line []byte) { got = append(got, string(line)) })
	want := []string{"a", "", "b\t", long[:lineMax], "yz", "last"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %d lines", len(got))
	}
}

// The whole demo with a few megabytes, and a report that notices a difference.
func TestDemoEndsEqual(t *testing.T) {
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Skip("kcat is not installed; `make test` installs it where it may")
	}
	var out bytes.Buffer
	equal, err := run(t.Context(), &out, 3_000_000, harness.Config{Shards: 2})
	if err != nil || !equal || !strings.Contains(out.String(), "EQUAL: both") {
		t.Fatalf("equal %v: %v\n%s", equal, err, out.String())
	}
	one, other := newLedger(), newLedger()
	other.add(0, nil, nil)
	if report(&out, []leg{{sums: one, took: time.Second}, {sums: other, took: time.Second}}) {
		t.Fatal("different sums were reported as equal")
	}
}
