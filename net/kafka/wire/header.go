package wire

// headerBytesMin is what every request header has: key, version, correlation id.
const headerBytesMin = 8

// Header is a request header (versions 1 and 2; version 0 was used by a key that no longer exists).
type Header struct {
	Key, Version int16
	Correlation  int32
	ClientID     []byte // view into the frame; nil = null
	Body         []byte // view into the frame; nil when the version is not served
}

// ParseHeader splits a frame, its length field already taken off. Key, Version and Correlation are filled whenever the
// frame has eight bytes, also beside an error. Errors are Faults: FaultKey and FaultVersion for what is not served,
// otherwise the header is malformed. All of them close the connection.
//
// An ApiVersions request of an unknown version is no error: Served is false, the rest of the header is not looked at, and
// the answer is UNSUPPORTED_VERSION in a version 0 body (KIP-511).
func ParseHeader(frame []byte) (Header, error) {
	var h Header
	if len(frame) < headerBytesMin {
		return h, FaultShort
	}
	r := reader{b: frame}
	h.Key, h.Version, h.Correlation = r.int16(), r.int16(), r.int32()
	api := Lookup(h.Key)
	if api == nil {
		return h, FaultKey
	}
	if !api.Serves(h.Version) {
		if h.Key == KeyAPIVersions {
			return h, nil
		}
		return h, FaultVersion
	}
	// The client id keeps its two-byte length in every header version.
	h.ClientID = r.nullable(false)
	if api.IsFlexible(h.Version) {
		r.skipTags()
	}
	if r.fault != FaultNone {
		return Header{Key: h.Key, Version: h.Version, Correlation: h.Correlation}, r.fault
	}
	h.Body = frame[r.at:len(frame):len(frame)]
	return h, nil
}

// Served reports whether the version is one the table serves, so that Body may be decoded.
func (h *Header) Served() bool {
	api := Lookup(h.Key)
	return api != nil && api.Serves(h.Version)
}

// AppendResponseHeader begins a response frame: four bytes for the length, the correlation id, and empty tagged fields
// where the version has them. FinishFrame fills the length. For the cold keys, whose bodies kmsg appends.
func AppendResponseHeader(dst []byte, api *API, version int16, correlation int32) []byte {
	dst = append(dst, 0, 0, 0, 0)
	dst = appendInt32(dst, correlation)
	if api.ResponseTags(version) {
		dst = append(dst, 0)
	}
	return dst
}
