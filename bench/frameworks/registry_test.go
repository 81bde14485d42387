package frameworks

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pinion/bench/harness"
)

const (
	registryMax = 2 * time.Minute // for what takes seconds alone on two cores
	subjects    = 12              // registered in a phase
)

// A schema registry keeps its journal in topics of Pinion's. Two of them share it; one is killed, both are started again, and hold nothing but what
// the topics do. What they answer is what they answer on Apache Kafka.
func TestRegistryKeepsSchemas(t *testing.T) {
	if !long {
		t.Skip("it takes a minute; `make frameworks` runs it")
	}
	home, err := Registry(t.Context())
	skipMissing(t, err)
	var answers [2][]string
	for i, where := range []side{startKafka(t), startPinion(t)} {
		r := &registry{t: t, home: home, where: where}
		r.play()
		answers[i] = r.answers
	}
	for i, want := range answers[0] {
		if got := answers[1][i]; got != want {
			t.Errorf("on Pinion: %s\non Kafka:  %s", got, want)
		}
	}
	t.Logf("registry: %d answers of 4 registries, of which one was killed, are those given on Apache Kafka", len(answers[1]))
}

// registry is a test of schema registries on one side.
type registry struct {
	t       *testing.T
	home    string
	where   side
	phases  int
	answers []string // of what was asked, without when
}

func (r *registry) play() {
	first := r.start()
	r.register(first)
	second := r.start()
	r.agree(first, second)
	r.register(second)
	r.agree(first, second)
	if err := first.Stop(os.Kill); err != nil {
		r.t.Fatal(err)
	}
	r.register(second)
	third := r.start()
	r.agree(second, third)
	for _, p := range []*keeper{second, third} {
		if err := p.Stop(syscall.SIGTERM); err != nil {
			r.t.Fatal(err)
		}
	}
	last := r.start()
	r.register(last)
	r.answers = append(r.answers, r.all(last)...)
	if err := last.Stop(os.Kill); err != nil {
		r.t.Fatal(err)
	}
}

// keeper is one registry.
type keeper struct {
	*Process
	url string
}

// start starts a registry and waits until it answers. It answers once it has read what its topics held when it began.
func (r *registry) start() *keeper {
	r.t.Helper()
	port, err := harness.Reserve()
	if err != nil {
		r.t.Fatal(err)
	}
	jars, err := filepath.Glob(filepath.Join(r.home, "*-runner.jar"))
	if err != nil || len(jars) != 1 {
		r.t.Fatalf("jars of the registry: %v, %v", jars, err)
	}
	p, err := Start(append(append([]string{"java"}, small...), "-jar", jars[0]),
		"APICURIO_STORAGE_KIND=kafkasql", "APICURIO_KAFKASQL_BOOTSTRAP_SERVERS="+r.where.addr,
		"QUARKUS_HTTP_HOST=127.0.0.1", fmt.Sprintf("QUARKUS_HTTP_PORT=%d", port.Number))
	if err != nil {
		r.t.Fatal(err)
	}
	k := &keeper{p, fmt.Sprintf("http://127.0.0.1:%d/apis/ccompat/v7", port.Number)}
	r.t.Cleanup(func() {
		stop(r.t, p)
		port.Release()
	})
	for begun := time.Now(); ; time.Sleep(lookPause) {
		status, _, err := ask(r.t.Context(), http.MethodGet, k.url+"/subjects", nil)
		if err == nil && status == http.StatusOK {
			return k
		}
		if time.Since(begun) > registryMax {
			r.t.Fatalf("the registry does not answer: %d, %v", status, err)
		}
	}
}

// ask asks a registry, wants a status, and keeps what it said.
func (r *registry) ask(k *keeper, status int, method, path string, body any) {
	r.t.Helper()
	got, text := r.said(k, method, path, body)
	if got != status {
		r.t.Errorf("on %s: %s, want %d", r.where.name, text, status)
	}
	r.answers = append(r.answers, text)
}

func (r *registry) said(k *keeper, method, path string, body any) (status int, said string) {
	r.t.Helper()
	status, text, err := ask(r.t.Context(), method, k.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	return status, fmt.Sprintf("%s %s: %d %s", method, path, status, text)
}

// schema is a record with a number, and with a note behind it, which has a default where it may be missing in what was written before.
func schema(name, note string) map[string]string {
	fields := `{"name":"id","type":"long"}`
	if note != "" {
		fields += `,` + note
	}
	return map[string]string{"schema": `{"type":"record","name":"` + name + `","fields":[` + fields + `]}`}
}

const (
	noteNeeded = `{"name":"note","type":"string"}`
	noteMaybe  = `{"name":"note","type":"string","default":""}`
)

// register registers subjects: each with a first version, once more with the same, with one that does not fit, and with one that does. Of some a
// version is deleted, and the first of all gets another version in each phase.
func (r *registry) register(k *keeper) {
	r.t.Helper()
	for i := range subjects {
		name := fmt.Sprintf("Order%d", r.phases*subjects+i)
		path := "/subjects/" + name + "-value"
		r.ask(k, http.StatusOK, http.MethodPost, path+"/versions", schema(name, ""))
		r.ask(k, http.StatusOK, http.MethodPost, path+"/versions", schema(name, ""))
		r.ask(k, http.StatusOK, http.MethodPut, "/config/"+name+"-value", map[string]string{"compatibility": "BACKWARD"})
		r.ask(k, http.StatusConflict, http.MethodPost, path+"/versions", schema(name, noteNeeded))
		r.ask(k, http.StatusOK, http.MethodPost, path+"/versions", schema(name, noteMaybe))
		if i%3 == 0 {
			r.ask(k, http.StatusOK, http.MethodDelete, path+"/versions/1", nil)
		}
	}
	r.ask(k, http.StatusOK, http.MethodPut, "/config/Order0-value", map[string]string{"compatibility": "NONE"})
	r.ask(k, http.StatusOK, http.MethodPost, "/subjects/Order0-value/versions", schema("Order0", fmt.Sprintf(`{"name":"phase%d","type":"int"}`, r.phases)))
	r.phases++
}

// all is everything that a registry holds.
func (r *registry) all(k *keeper) (list []string) {
	r.t.Helper()
	get := func(path string) {
		status, said := r.said(k, http.MethodGet, path, nil)
		if status != http.StatusOK && !strings.HasPrefix(path, "/schemas/") { // a deleted version's may be gone
			r.t.Errorf("on %s: %s", r.where.name, said)
		}
		list = append(list, said)
	}
	get("/subjects")
	for i := range r.phases * subjects {
		name := fmt.Sprintf("Order%d-value", i)
		get("/subjects/" + name + "/versions")
		get("/subjects/" + name + "/versions/latest")
		get("/config/" + name)
	}
	for id := 1; id <= r.phases*(2*subjects+1); id++ {
		get(fmt.Sprintf("/schemas/ids/%d", id))
	}
	return list
}

// agree waits until two registries hold the same: each follows the topic by itself.
func (r *registry) agree(a, b *keeper) {
	r.t.Helper()
	for begun := time.Now(); ; time.Sleep(lookPause) {
		one, other := r.all(a), r.all(b)
		if slices.Equal(one, other) {
			r.answers = append(r.answers, one...)
			return
		}
		if time.Since(begun) > registryMax {
			r.t.Fatalf("two registries differ: %v", differing(one, other))
		}
	}
}
