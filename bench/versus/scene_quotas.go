package versus

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// quotaOp is one key; a negative 1 removes it.
type quotaOp struct {
	key   string
	value float64
}

// quotaOf names an entity by pairs of kind and name, * for the default.
func quotaOf(names []string, ops ...quotaOp) kmsg.AlterClientQuotasRequestEntry {
	e := kmsg.NewAlterClientQuotasRequestEntry()
	for i := 0; i+1 < len(names); i += 2 {
		part := kmsg.NewAlterClientQuotasRequestEntryEntity()
		part.Type = names[i]
		if names[i+1] != "*" {
			part.Name = &names[i+1]
		}
		e.Entity = append(e.Entity, part)
	}
	for _, op := range ops {
		o := kmsg.NewAlterClientQuotasRequestEntryOp()
		o.Key, o.Value, o.Remove = op.key, op.value, op.value == -1
		e.Ops = append(e.Ops, o)
	}
	return e
}

// component of a filter: a name, * for the default, + for any.
func filtered(kind, name string) kmsg.DescribeClientQuotasRequestComponent {
	c := kmsg.NewDescribeClientQuotasRequestComponent()
	c.EntityType = kind
	switch name {
	case "*":
		c.MatchType = 1
	case "+":
		c.MatchType = 2
	default:
		c.Match = &name
	}
	return c
}

func (s *script) alterQuotas(version int16, step string, validate bool, entries ...kmsg.AlterClientQuotasRequestEntry) {
	s.do(step, func(*party) kmsg.Request {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		req.Entries, req.ValidateOnly = entries, validate
		return versioned(req, version)
	})
}

func (s *script) describeQuotas(version int16, step string, strict bool, components ...kmsg.DescribeClientQuotasRequestComponent) {
	s.ask(step, func(*party) kmsg.Request {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Components, req.Strict = components, strict
		return versioned(req, version)
	})
}

const much = 1e12 // a quota that nobody who runs the script meets

func sceneDescribeQuotas(s *script, v int16) {
	name := fmt.Sprintf("quota-%d", v)
	s.alterQuotas(1, "make some", false,
		quotaOf([]string{"client-id", name}, quotaOp{"producer_byte_rate", much}, quotaOp{"consumer_byte_rate", much + 1}),
		quotaOf([]string{"user", name}, quotaOp{"request_percentage", 12.5}),
		quotaOf([]string{"user", name, "client-id", "*"}, quotaOp{"controller_mutation_rate", 1000}),
		quotaOf([]string{"user", name, "client-id", name}, quotaOp{"producer_byte_rate", much}))
	for _, strict := range []bool{false, true} {
		describe := func(step string, components ...kmsg.DescribeClientQuotasRequestComponent) {
			s.describeQuotas(v, fmt.Sprintf("%s, strict %v", step, strict), strict, components...)
		}
		describe("all")
		describe("a client id", filtered("client-id", name))
		describe("a user", filtered("user", name))
		describe("a user and a client id", filtered("user", name), filtered("client-id", name))
		describe("a user and the default client id", filtered("user", name), filtered("client-id", "*"))
		describe("the default user", filtered("user", "*"))
		describe("any user", filtered("user", "+"))
		describe("any user and any client id", filtered("user", "+"), filtered("client-id", "+"))
		describe("nobody", filtered("user", "nobody"))
		describe("addresses", filtered("ip", "+"))
		describe("an address and a user", filtered("ip", "+"), filtered("user", "+"))
		describe("a kind twice", filtered("user", "+"), filtered("user", name))
		describe("an unknown kind", filtered("group", "+"))
		describe("an empty kind", filtered("", "+"))
		describe("an empty name", filtered("user", ""))
		odd := filtered("user", "+")
		odd.MatchType = 3
		describe("an unknown match", odd)
		odd = filtered("user", name)
		odd.MatchType = 1
		describe("a default with a name", odd)
		odd.MatchType = 2
		describe("any with a name", odd)
		odd = filtered("user", "+")
		odd.MatchType = 0
		describe("no name to match", odd)
	}
	s.alterQuotas(1, "take them away", false,
		quotaOf([]string{"client-id", name}, quotaOp{"producer_byte_rate", -1}, quotaOp{"consumer_byte_rate", -1}),
		quotaOf([]string{"user", name}, quotaOp{"request_percentage", -1}),
		quotaOf([]string{"user", name, "client-id", "*"}, quotaOp{"controller_mutation_rate", -1}),
		quotaOf([]string{"user", name, "client-id", name}, quotaOp{"producer_byte_rate", -1}))
	s.describeQuotas(v, "nothing is left", false)
}

func sceneAlterQuotas(s *script, v int16) {
	client := []string{"client-id", fmt.Sprintf("altered-%d", v)}
	do := func(step string, entries ...kmsg.AlterClientQuotasRequestEntry) {
		s.alterQuotas(v, step, false, entries...)
	}
	do("none")
	do("an entity without keys", quotaOf(client))
	do("set", quotaOf(client, quotaOp{"producer_byte_rate", much}))
	do("set again", quotaOf(client, quotaOp{"producer_byte_rate", much}))
	do("add", quotaOf(client, quotaOp{"consumer_byte_rate", much}))
	do("remove what is not there", quotaOf(client, quotaOp{"request_percentage", -1}))
	do("remove what there never is", quotaOf(client, quotaOp{"no_such_rate", -1}))
	do("an unknown key", quotaOf(client, quotaOp{"no_such_rate", 5}))
	do("an address's key", quotaOf(client, quotaOp{"connection_creation_rate", 5}))
	do("nothing allowed", quotaOf(client, quotaOp{"producer_byte_rate", 0}))
	do("less than nothing", quotaOf(client, quotaOp{"producer_byte_rate", -5}))
	do("half a byte", quotaOf(client, quotaOp{"producer_byte_rate", 1.5}))
	do("more than fits", quotaOf(client, quotaOp{"producer_byte_rate", 1e300}))
	do("a key twice", quotaOf(client, quotaOp{"producer_byte_rate", much}, quotaOp{"producer_byte_rate", much + 1}))
	do("sense beside nonsense", quotaOf(client, quotaOp{"producer_byte_rate", much + 5}, quotaOp{"consumer_byte_rate", 0}))
	do("a good entity beside a bad one", quotaOf(client, quotaOp{"producer_byte_rate", much + 7}), quotaOf([]string{"user", "x"}, quotaOp{"no_such_rate", 5}))
	do("nobody", quotaOf(nil, quotaOp{"producer_byte_rate", much}))
	do("an unknown kind", quotaOf([]string{"group", "g"}, quotaOp{"producer_byte_rate", much}))
	do("an empty kind", quotaOf([]string{"", "g"}, quotaOp{"producer_byte_rate", much}))
	do("an empty name", quotaOf([]string{"user", ""}, quotaOp{"producer_byte_rate", much}))
	do("an address with a user", quotaOf([]string{"ip", "127.0.0.1", "user", "u"}, quotaOp{"connection_creation_rate", 1e6}))
	do("an address", quotaOf([]string{"ip", "10.0.0.1"}, quotaOp{"connection_creation_rate", 1e6}))
	do("an address no more", quotaOf([]string{"ip", "10.0.0.1"}, quotaOp{"connection_creation_rate", -1}))
	do("an address that is none", quotaOf([]string{"ip", "not an address"}, quotaOp{"connection_creation_rate", 1e6}))
	do("a client's key of an address", quotaOf([]string{"ip", "10.0.0.1"}, quotaOp{"producer_byte_rate", much}))
	do("odd names", quotaOf([]string{"user", "a b/c=d,é"}, quotaOp{"producer_byte_rate", much}), quotaOf([]string{"client-id", strings.Repeat("x", 300)}, quotaOp{"producer_byte_rate", much}))
	s.describeQuotas(1, "odd names are there", false, filtered("user", "a b/c=d,é"))
	s.alterQuotas(v, "validate", true, quotaOf(client, quotaOp{"producer_byte_rate", 5}))
	s.alterQuotas(v, "validate nonsense", true, quotaOf(client, quotaOp{"producer_byte_rate", 0}))
	s.describeQuotas(1, "what came of it", false, filtered("client-id", client[1]))
	do("remove", quotaOf(client, quotaOp{"producer_byte_rate", -1}, quotaOp{"consumer_byte_rate", -1}),
		quotaOf([]string{"user", "a b/c=d,é"}, quotaOp{"producer_byte_rate", -1}), quotaOf([]string{"client-id", strings.Repeat("x", 300)}, quotaOp{"producer_byte_rate", -1}))
	s.describeQuotas(1, "nothing is left", false)
}
