package main_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A cordoned directory gets neither new partitions nor moved ones, serves what it has, and stays cordoned over a restart; a node with no other takes
// no topics.
func TestDirectoriesCordoned(t *testing.T) {
	dirs := dirsOf(t, 2)
	b := runDirs(t, dirs)
	createTopic(t, b, "before", 4, nil)
	cordon := func(value string) error {
		t.Helper()
		cl := newClient(t, b)
		defer cl.Close()
		list, err := kadm.NewClient(cl).AlterBrokerConfigs(testContext(t), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "cordoned.log.dirs", Value: &value}}, 1)
		if err == nil {
			err = list[0].Err
		}
		return err
	}
	await := func(want ...string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // the setting is stored first, and then followed
			var got []string
			for _, dir := range dirs {
				if logDirs(t, b)[dir].IsCordoned {
					got = append(got, dir)
				}
			}
			if strings.Join(got, ",") == strings.Join(want, ",") {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("cordoned: %v, want %v", got, want)
			}
		}
	}
	create := func(name string) error {
		t.Helper()
		cl := newClient(t, b)
		defer cl.Close()
		resp, err := kadm.NewClient(cl).CreateTopic(testContext(t), 4, 1, nil, name)
		return errors.Join(err, resp.Err)
	}
	if err := cordon(dirs[1] + "-absent"); err == nil {
		t.Error("a directory there is not is cordoned")
	}
	if err := cordon(dirs[1]); err != nil {
		t.Fatal(err)
	}
	await(dirs[1])
	check := func(topic string) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) { // the catalogue hears of it after DescribeLogDirs shows it
			if err := create(topic); err != nil {
				t.Fatal(err)
			}
			elsewhere := 0
			for _, dir := range homeOf(t, b, topic) {
				if dir != dirs[0] {
					elsewhere++
				}
			}
			if elsewhere == 0 {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d new partitions are in a cordoned directory", elsewhere)
			}
			topic += "x"
		}
	}
	check("after")
	for p, dir := range homeOf(t, b, "before") {
		want := error(nil)
		if dir == dirs[0] {
			want = kerr.InvalidReplicaAssignment
		} else if err := produceOnce(t, b, "before", p); err != nil {
			t.Errorf("a partition of the cordoned directory: %v", err)
		}
		if err := moveTo(t, b, dirs[1], "before", p); !errors.Is(err, kerr.InvalidReplicaAssignment) {
			t.Errorf("%d from %s to a cordoned one: %v, want %v", p, dir, err, want)
		}
	}
	if err := b.Kill(); err != nil {
		t.Fatal(err)
	}
	b = runDirs(t, dirs)
	await(dirs[1])
	check("again")
	if err := cordon("*"); err != nil {
		t.Fatal(err)
	}
	await(dirs...)
	ctx, cancel := context.WithTimeout(testContext(t), time.Minute)
	defer cancel()
	for n := 0; ; n++ {
		err := create("none" + strings.Repeat("x", n))
		if errors.Is(err, kerr.InvalidReplicationFactor) {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("a topic on a node that takes none: %v", err)
		}
		time.Sleep(5 * time.Millisecond) // as above
	}
	if err := cordon(""); err != nil {
		t.Fatal(err)
	}
	await()
	for create("free") != nil {
		if ctx.Err() != nil {
			t.Fatal("no topic can be created though nothing is cordoned")
		}
		time.Sleep(5 * time.Millisecond) // as above
	}
}
