package catalog

import (
	"math"

	"pinion/engine/placement"
)

// AlterResourceConfigs is AlterTopicConfigs for a resource that is neither a topic nor a broker. It need not exist, as in Kafka: a group may be
// configured before its first member comes.
func AlterResourceConfigs(resource placement.Resource, before map[string]string, changes []ConfigChange) Command {
	w := begin(KindAlterResourceConfigs)
	w.byte(byte(resource.Kind))
	w.string(resource.Name)
	w.id(digest(before))
	w.changes(changes, false)
	return w.command()
}

func (m *Machine) alterResourceConfigs(r *reader) Result {
	resource := placement.Resource{Kind: int8(r.byte()), Name: r.string(ResourceNameMax)}
	before := r.id()
	changes, replace := r.changes()
	if !r.done() || replace || resource.Name == "" {
		return malformed(KindAlterResourceConfigs)
	}
	im := m.draft.View()
	now := im.ResourceConfigs(resource)
	if digest(now) != before {
		return refused(Changed, "The configuration of %s was changed by somebody else.", resource.Name)
	}
	values, err := merge(now, changes, false)
	if err != nil {
		return Result{Err: err}
	}
	if now == nil && len(values) > 0 && im.ResourceCount() >= resourcesMax {
		return refused(LimitReached, "%d groups and subscriptions have a configuration already", resourcesMax)
	}
	m.draft.SetResourceConfigs(resource, values)
	return Result{}
}

// resources is the part of a snapshot that holds their configurations.
func (w *writer) resources(im *placement.Image) {
	w.uvarint(uint64(im.ResourceCount()))
	for resource, values := range im.EachResource {
		w.byte(byte(resource.Kind))
		w.string(resource.Name)
		w.configs(values)
	}
}

func (m *Machine) restoreResources(r *reader) {
	above := placement.Resource{Kind: math.MinInt8}
	for range r.count(resourcesMax) {
		resource := placement.Resource{Kind: int8(r.byte()), Name: r.string(ResourceNameMax)}
		values := r.configs()
		if values == nil || resource.Name == "" || resource.Compare(above) <= 0 {
			r.fail()
			return
		}
		above = resource
		m.draft.SetResourceConfigs(resource, values)
	}
}
