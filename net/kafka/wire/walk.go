package wire

// What kmsg allocates beside the elements of arrays, rounded up to the allocator's size classes. Bytes.
const (
	textAlign    = 16  // a string's bytes
	textPointer  = 16  // a nullable string is a pointer to one
	tagMapBytes  = 384 // the map of a structure with unknown tagged fields, its first eight entries included
	tagEachBytes = 96  // one more entry, growth included
)

// Walk reads the body of a cold request without keeping anything and reports whether kmsg may decode it: every count and
// length fits in the body, and the decoded request is charged at no more than budget bytes. kmsg allocates at most twice
// the charge, what it discards on the way included. Measured without a walk: a Metadata request of 11 MB made kmsg allocate
// 1 GiB, and an ApiVersions request of seven bytes, whose tag count says 2^32-1, kept it in a loop for 114 s.
//
// Errors are Faults: FaultKey for a key that has no schema here, FaultAllocation for the budget.
// Cost is linear in the body; nothing is allocated.
func Walk(key, version int16, body []byte, budget int) error {
	w, fault := walk(key, version, body, budget)
	if fault != FaultNone {
		return fault
	}
	return w.r.fault.err()
}

func walk(key, version int16, body []byte, budget int) (walker, Fault) {
	api := Lookup(key)
	if api == nil || schemas[key] == nil {
		return walker{}, FaultKey
	}
	if !api.Serves(version) {
		return walker{}, FaultVersion
	}
	w := walker{r: reader{b: body}, version: version, flexible: api.IsFlexible(version), budget: budget}
	w.structure(schemas[key])
	return w, FaultNone
}

// What stands before a structure that may be null. Fixed by the protocol.
const absent, present int8 = -1, 1

// walker is one pass over a body.
type walker struct {
	r        reader
	version  int16
	flexible bool
	budget   int // bytes that may still be allocated
	spent    int
}

func (w *walker) spend(n int) {
	w.spent += n
	if w.spent > w.budget {
		w.r.fail(FaultAllocation)
	}
}

// structure passes over the fields of one structure and the tagged fields that end it.
func (w *walker) structure(fields []field) {
	for i := range fields {
		f := &fields[i]
		if w.version >= f.from && w.version <= f.to {
			w.field(f)
		}
		if w.r.fault != FaultNone {
			return
		}
	}
	if w.flexible {
		w.tags()
	}
}

func (w *walker) field(f *field) {
	switch f.kind {
	case kindFixed:
		w.r.span(f.wireBytes)
	case kindText:
		w.text(f)
	case kindBytes:
		w.octets()
	case kindArray:
		w.array(f)
	case kindOptional:
		w.optional(f)
	}
}

// optional passes over a structure that may be null.
func (w *walker) optional(f *field) {
	b := w.r.take(1)
	switch {
	case w.r.fault != FaultNone || int8(b[0]) == absent:
	case int8(b[0]) != present:
		w.r.fail(FaultNull)
	default:
		w.spend(f.elementBytes)
		w.structure(f.elements)
	}
}

func (w *walker) text(f *field) {
	b := w.r.nullable(w.flexible)
	if b == nil && w.version < f.nullFrom {
		w.r.fail(FaultNull)
		return
	}
	n := (len(b) + textAlign - 1) &^ (textAlign - 1)
	if f.nullFrom != never {
		n += textPointer // kmsg has one type for all versions
	}
	w.spend(n)
}

// octets passes over bytes that may not be null.
func (w *walker) octets() {
	b := w.r.blob(w.flexible)
	if b == nil {
		w.r.fail(FaultNull)
		return
	}
	w.spend((len(b) + textAlign - 1) &^ (textAlign - 1))
}

func (w *walker) array(f *field) {
	n := w.r.count(w.flexible, max(1, f.elementBytesMin(w.version, w.flexible)))
	if n < 0 && w.version < f.nullFrom {
		w.r.fail(FaultNull)
		return
	}
	if n > 0 {
		w.spend(n * f.elementBytes)
	}
	for ; n > 0 && w.r.fault == FaultNone; n-- {
		if f.bare {
			w.field(&f.elements[0])
		} else {
			w.structure(f.elements)
		}
	}
}

// tags passes over tagged fields. kmsg keeps the unknown ones in a map; the known ones are charged as if unknown.
func (w *walker) tags() {
	n := w.r.tagCount()
	if n == 0 {
		return
	}
	w.spend(tagMapBytes + n*tagEachBytes)
	for ; n > 0 && w.r.fault == FaultNone; n-- {
		w.r.uvarint()
		w.r.span(int(w.r.uvarint()))
	}
}
