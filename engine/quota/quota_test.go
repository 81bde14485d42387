package quota

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pinion/engine/catalog"
	"pinion/engine/clock"
	"pinion/engine/placement"
)

var pace = Pace{Windows: 11, Window: time.Second}

// quotasOf makes quotas from rows "user client key=rate"; - is nobody, * the default.
func quotasOf(t testing.TB, rows ...string) *placement.Quotas {
	t.Helper()
	m := catalog.New("c")
	who := func(text string) placement.Who {
		switch text {
		case "-":
			return placement.Who{}
		case "*":
			return placement.Who{Kind: placement.Default}
		}
		return placement.Who{Kind: placement.Named, Name: text}
	}
	var changes []catalog.QuotaChange
	for _, row := range rows {
		var user, client, key string
		var rate float64
		if _, err := fmt.Sscanf(row, "%s %s %s %g", &user, &client, &key, &rate); err != nil {
			t.Fatal(row, err)
		}
		changes = append(changes, catalog.QuotaChange{Entity: placement.Entity{User: who(user), Client: who(client)}, Ops: []catalog.QuotaOp{{Key: key, Value: rate}}})
	}
	if r, _ := m.Apply(1, catalog.AlterQuotas(changes).Bytes()); r.Err != nil {
		t.Fatal(r.Err)
	}
	return m.Image().Quotas()
}

// The most specific quota that sets the key counts, in Kafka's order; a quota of something else does not hide it.
func TestPrecedence(t *testing.T) {
	rows := []string{"u c k 1", "u * k 2", "u - k 3", "* c k 4", "* * k 5", "* - k 6", "- c k 7", "- * k 8"}
	for i := range rows {
		q := quotasOf(t, append([]string{"u c other 99"}, rows[i:]...)...)
		limit, byUser, byClient, ok := find(q, "k", "u", "c")
		if !ok || limit != float64(i+1) || byUser != (i < 6) || byClient != (i != 2 && i != 5) {
			t.Errorf("without %v: %v %v %v %v", rows[:i], limit, byUser, byClient, ok)
		}
	}
	if _, _, _, ok := find(quotasOf(t, "v - k 1", "- d k 1"), "k", "u", "c"); ok {
		t.Error("a quota of others")
	}
}

// A client that waits as long as it is told uses in the long run what it may, on one connection or on several shards at once. As in Kafka it may
// use up the windows before it is first told to wait, and each connection may send one request more than all together should have.
func TestRateIsHeld(t *testing.T) {
	const rate, largest, seconds = 50_000, 30_000, 300
	q := quotasOf(t, fmt.Sprintf("- c %s %d", placement.ProducerByteRate, rate))
	for _, shards := range []int{1, 4} {
		b := NewBook(pace)
		random := rand.New(rand.NewPCG(1, uint64(shards)))
		clients := make([]Client, shards)
		free := make([]clock.Mono, shards) // when each may go on
		sent := int64(0)
		begin := clock.Mono(1234 * time.Second)
		now := begin
		for now < begin+clock.Mono(seconds*time.Second) {
			now += clock.Mono(time.Millisecond)
			for i := range clients {
				if free[i] > now {
					continue
				}
				n := 1 + random.Int64N(largest)
				clients[i].Is(b, q, "ANONYMOUS", []byte("c"), now)
				sent += n
				free[i] = now + clock.Mono(clients[i].Use(b, Produce, now, n))
			}
		}
		span := pace.Windows - 1
		limit := float64(rate) + float64(rate*span)/seconds + float64(shards*largest)/float64(span)
		if got := float64(sent) / seconds; got > limit || got < rate*0.8 {
			t.Errorf("%d shards: %.0f bytes a second, want %d, at most %.0f", shards, got, rate, limit)
		}
	}
}

// What shards add at once is all counted.
func TestMeterLosesNothing(t *testing.T) {
	m := newMeter(pace)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 10_000 {
				m.add(pace, clock.Mono(time.Duration(i%3)*time.Second+20*time.Second), 3)
			}
		})
	}
	all.Wait()
	// Windows that others have begun later are lost to those who are late; here each has a place of its own.
	if got := m.used(pace, clock.Mono(22*time.Second)); got != 4*10_000*3 {
		t.Errorf("%d", got)
	}
	if got := m.used(pace, clock.Mono(34*time.Second)); got != 0 {
		t.Errorf("%d are still counted", got)
	}
	m.add(pace, clock.Mono(40*time.Second), usedMax)
	m.add(pace, clock.Mono(40*time.Second), usedMax)
	if got := m.used(pace, clock.Mono(40*time.Second)); got != usedMax {
		t.Errorf("%d after more than fits", got)
	}
}

// Accounts come with clients and go with them: many who come and go leave little behind, and none escapes what it has used by coming back.
func TestAccountsAreBounded(t *testing.T) {
	b := NewBook(pace)
	q := quotasOf(t, fmt.Sprintf("- * %s 1000", placement.ProducerByteRate))
	now := clock.Mono(100 * time.Second)
	var stays Client
	stays.Is(b, q, "ANONYMOUS", []byte("stays"), now)
	stays.Use(b, Produce, now, 1)
	for i := range 10 * accountsKept {
		now += clock.Mono(10 * time.Millisecond)
		var c Client
		c.Is(b, q, "ANONYMOUS", fmt.Append(nil, i), now)
		c.Use(b, Produce, now, 5)
		c.Close()
	}
	n := 0
	b.accounts.Range(func(any, any) bool { n++; return true })
	if n > 2*accountsKept {
		t.Errorf("%d accounts are kept", n)
	}
	var again Client
	again.Is(b, q, "ANONYMOUS", []byte("stays"), now)
	if again.limits[Produce].account != stays.limits[Produce].account {
		t.Error("an account in use was closed")
	}
	for range 2 {
		var c Client
		c.Is(b, q, "ANONYMOUS", []byte("returns"), now)
		c.Use(b, Produce, now, 20_000)
		c.Close()
	}
	var c Client
	c.Is(b, q, "ANONYMOUS", []byte("returns"), now)
	if wait := c.Use(b, Produce, now, 0); wait < 25*time.Second {
		t.Errorf("it came back and waits %v", wait)
	}
}

// A fetch is held back itself while others have used the quota up, and what is too much by itself comes once.
func TestOffer(t *testing.T) {
	b := NewBook(pace)
	q := quotasOf(t, fmt.Sprintf("ANONYMOUS - %s 1000", placement.ConsumerByteRate))
	now := clock.Mono(100 * time.Second)
	var c Client
	c.Is(b, q, "ANONYMOUS", []byte("c"), now)
	if most := c.Most(b, Fetch, 1<<30); most != 10_000 {
		t.Errorf("at most %d", most)
	}
	if wait, ok := c.Offer(b, Fetch, now, 50_000); !ok || wait != 40*time.Second {
		t.Errorf("too much by itself: %v %v", wait, ok)
	}
	if wait, ok := c.Offer(b, Fetch, now, 1); ok || wait < 40*time.Second {
		t.Errorf("more: %v %v", wait, ok)
	}
	now += clock.Mono(11 * time.Second)
	if wait, ok := c.Offer(b, Fetch, now, 1); !ok || wait != 0 {
		t.Errorf("later: %v %v", wait, ok)
	}
	if c.Limited(Produce) || c.Use(b, Produce, now, 1<<40) != 0 {
		t.Error("there is no quota for produce")
	}
	c.Is(b, nil, "ANONYMOUS", []byte("c"), now)
	if c.Limited(Fetch) {
		t.Error("a quota that was removed still counts")
	}
}

// What is counted as a whole is let through until the quota is used up.
func TestAfford(t *testing.T) {
	b := NewBook(pace)
	q := quotasOf(t, fmt.Sprintf("- * %s 2", placement.ControllerMutationRate))
	now := clock.Mono(100 * time.Second)
	var c Client
	c.Is(b, q, "ANONYMOUS", []byte("c"), now)
	for _, row := range []struct {
		n    int64
		wait time.Duration
	}{{15, 0}, {50, 0}, {1, 22500 * time.Millisecond}} {
		if wait, ok := c.Afford(b, Mutation, now, row.n); wait != row.wait || ok != (wait == 0) {
			t.Errorf("%d: %v %v, want %v", row.n, wait, ok, row.wait)
		}
	}
	if wait := c.Use(b, Mutation, now, 1); wait != 23*time.Second {
		t.Errorf("counted all the same: %v", wait)
	}
}

// Time of requests is a part of one shard's, and no request holds its client back for more than a window.
func TestRequestPercentage(t *testing.T) {
	b := NewBook(pace)
	q := quotasOf(t, fmt.Sprintf("- c %s 10", placement.RequestPercentage))
	now := clock.Mono(100 * time.Second)
	var c Client
	c.Is(b, q, "ANONYMOUS", []byte("c"), now)
	if wait := c.Use(b, Request, now, int64(time.Second)); wait != 0 {
		t.Errorf("a second in ten: %v", wait)
	}
	if wait := c.Use(b, Request, now, int64(50*time.Millisecond)); wait != 500*time.Millisecond {
		t.Errorf("a little more: %v", wait)
	}
	if wait := c.Use(b, Request, now, int64(time.Minute)); wait != time.Second {
		t.Errorf("much more: %v", wait)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	b := NewBook(pace)
	q := quotasOf(t, fmt.Sprintf("- c %s 1000", placement.ProducerByteRate))
	var c Client
	id := []byte("c")
	if n := testing.AllocsPerRun(1000, func() {
		c.Is(b, q, "ANONYMOUS", id, 1e11)
		c.Use(b, Produce, 1e11, 5)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
