package placement

import (
	"cmp"
	"slices"
)

// Resource is something with a configuration that is neither a topic nor a broker: a group, or a subscription to client metrics. Kind is
// Kafka's number of the type; the thing itself need not exist.
type Resource struct {
	Kind int8
	Name string
}

// Compare orders resources.
func (r Resource) Compare(other Resource) int {
	return cmp.Or(cmp.Compare(r.Kind, other.Kind), cmp.Compare(r.Name, other.Name))
}

type resourceConfig struct {
	resource Resource
	values   map[string]string
}

func searchResource(list []resourceConfig, r Resource) (int, bool) {
	return slices.BinarySearchFunc(list, r, func(c resourceConfig, r Resource) int { return c.resource.Compare(r) })
}

// ResourceConfigs is the configuration of a resource, nil when it has none. Never mutate it.
func (im *Image) ResourceConfigs(r Resource) map[string]string {
	at, found := searchResource(im.resources, r)
	if !found {
		return nil
	}
	return im.resources[at].values
}

// EachResource yields every resource with a configuration, ascending, until yield returns false.
func (im *Image) EachResource(yield func(Resource, map[string]string) bool) {
	for _, c := range im.resources {
		if !yield(c.resource, c.values) {
			return
		}
	}
}

// ResourceCount is how many resources have a configuration.
func (im *Image) ResourceCount() int { return len(im.resources) }

// SetResourceConfigs replaces the configuration of a resource; an empty map removes it.
func (d *Draft) SetResourceConfigs(r Resource, values map[string]string) {
	at, found := searchResource(d.image.resources, r)
	next := d.image.resources
	if d.resources != d.edit {
		next, d.resources = slices.Clone(next), d.edit
	}
	switch {
	case found && len(values) == 0:
		next = slices.Delete(next, at, at+1)
	case found:
		next[at].values = values
	case len(values) > 0:
		next = slices.Insert(next, at, resourceConfig{r, values})
	}
	d.image.resources = next
	d.dirty = true
}
