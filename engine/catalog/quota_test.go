package catalog

import (
	"fmt"
	"maps"
	"math"
	"testing"

	"pinion/engine/placement"
)

func byClient(id string) placement.Entity {
	return placement.Entity{Client: placement.Who{Kind: placement.Named, Name: id}}
}

// Quotas are changed together or not at all, and a snapshot has them.
func TestQuotas(t *testing.T) {
	r := cluster(t, 1)
	plain := r.AppendSnapshot(nil)
	both := placement.Entity{User: placement.Who{Kind: placement.Default}, Client: placement.Who{Kind: placement.Named, Name: "b"}}
	r.must(AlterQuotas([]QuotaChange{
		{byClient("a"), []QuotaOp{{Key: "x", Value: 1}, {Key: "y", Value: 2.5}}},
		{both, []QuotaOp{{Key: "x", Value: 3}}},
	}))
	had := r.Image()
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		result, _ := r.do(AlterQuotas([]QuotaChange{{byClient("c"), []QuotaOp{{Key: "x", Value: 1}}}, {byClient("a"), []QuotaOp{{Key: "x", Value: bad}}}}))
		if result.Err == nil || result.Err.Code != InvalidRequest || r.Image().Quotas() != had.Quotas() {
			t.Fatalf("%v: %+v", bad, result)
		}
	}
	r.must(AlterQuotas([]QuotaChange{{byClient("a"), []QuotaOp{{Key: "x", Remove: true}, {Key: "z", Remove: true}}}}))
	if got := r.Image().Quotas().Of(byClient("a")); !maps.Equal(got, map[string]float64{"y": 2.5}) {
		t.Fatalf("%v", got)
	}
	if got := had.Quotas().Of(byClient("a")); len(got) != 2 {
		t.Fatalf("an image that was published has changed: %v", got)
	}
	again, err := Restore(r.AppendSnapshot(nil))
	if err != nil || again.Hash() != r.Hash() || again.Image().Quotas().Len() != 2 {
		t.Fatalf("restored %v", err)
	}
	r.must(AlterQuotas([]QuotaChange{{byClient("a"), []QuotaOp{{Key: "y", Remove: true}}}, {both, []QuotaOp{{Key: "x", Remove: true}}}}))
	if r.Image().Quotas() != nil || r.AppendSnapshot(nil)[0] != plain[0] {
		t.Fatal("what has no quotas any more is written as if it had")
	}
}

// What could grow without a bound has one, and what is there can still be changed.
func TestQuotasAndResourcesAreBounded(t *testing.T) {
	r := cluster(t, 1)
	var all []QuotaChange
	for i := range quotasMax {
		all = append(all, QuotaChange{byClient(fmt.Sprint(i)), []QuotaOp{{Key: "x", Value: 1}}})
	}
	r.must(AlterQuotas(all))
	one := []QuotaChange{{byClient("one more"), []QuotaOp{{Key: "x", Value: 1}}}}
	if result, _ := r.do(AlterQuotas(one)); result.Err == nil || result.Err.Code != LimitReached {
		t.Fatalf("%+v", result)
	}
	r.must(AlterQuotas([]QuotaChange{{byClient("0"), []QuotaOp{{Key: "x", Remove: true}}}, one[0]}))
	for i := range resourcesMax { // one edit of the draft: nothing looks at its image meanwhile
		r.must(AlterResourceConfigs(placement.Resource{Kind: 32, Name: fmt.Sprint(i)}, nil, []ConfigChange{{Key: "k", Value: "v"}}))
	}
	more := placement.Resource{Kind: 32, Name: "one more"}
	if result, _ := r.do(AlterResourceConfigs(more, nil, []ConfigChange{{Key: "k", Value: "v"}})); result.Err == nil || result.Err.Code != LimitReached {
		t.Fatalf("%+v", result)
	}
	r.must(AlterResourceConfigs(placement.Resource{Kind: 32, Name: "0"}, map[string]string{"k": "v"}, []ConfigChange{{Key: "k", Value: "w"}}))
	if again, err := Restore(r.AppendSnapshot(nil)); err != nil || again.Hash() != r.Hash() {
		t.Fatalf("restored %v", err)
	}
}

// A resource is configured before it exists, and two who change it at once do not undo each other.
func TestResourceConfigs(t *testing.T) {
	r := cluster(t, 1)
	group := placement.Resource{Kind: 32, Name: "g"}
	r.must(AlterResourceConfigs(group, nil, []ConfigChange{{Key: "a", Value: "1"}}))
	if result, _ := r.do(AlterResourceConfigs(group, nil, []ConfigChange{{Key: "b", Value: "2"}})); result.Err == nil || result.Err.Code != Changed {
		t.Fatalf("%+v", result)
	}
	r.must(AlterResourceConfigs(placement.Resource{Kind: 16, Name: "g"}, nil, []ConfigChange{{Key: "c", Value: "3"}}))
	if got := r.Image().ResourceConfigs(group); !maps.Equal(got, map[string]string{"a": "1"}) {
		t.Fatalf("%v", got)
	}
	r.must(AlterResourceConfigs(group, map[string]string{"a": "1"}, []ConfigChange{{Key: "a", Delete: true}}))
	if r.Image().ResourceConfigs(group) != nil || r.Image().ResourceCount() != 1 {
		t.Fatal("a configuration without keys is kept")
	}
}
