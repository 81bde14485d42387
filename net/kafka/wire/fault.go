package wire

// Fault says what is wrong with a request's bytes. It is an error whose values never allocate. Every fault means
// INVALID_REQUEST in Kafka's terms, and Kafka closes the connection on it.
type Fault uint8

const (
	FaultNone       Fault = iota
	FaultShort            // the bytes end inside a field
	FaultLength           // a length is negative, or longer than what is left
	FaultCount            // an array promises more elements than the rest could hold
	FaultNull             // null where the schema allows none
	FaultVarint           // an unsigned varint over 32 bits
	FaultTag              // a tagged field of the wrong size, or unknown to this version
	FaultKey              // a key that is not served
	FaultVersion          // a version that is not served
	FaultAllocation       // decoding would allocate more than the budget
	faultCount            // number of faults; keep last
)

var faultTexts = [faultCount]string{
	FaultNone:       "no fault",
	FaultShort:      "request ends inside a field",
	FaultLength:     "length exceeds the request",
	FaultCount:      "array count exceeds the request",
	FaultNull:       "null in a field that allows none",
	FaultVarint:     "varint over 32 bits",
	FaultTag:        "malformed tagged field",
	FaultKey:        "unsupported api key",
	FaultVersion:    "unsupported version",
	FaultAllocation: "request exceeds its allocation budget",
}

func (f Fault) Error() string {
	if int(f) >= len(faultTexts) {
		return "unknown fault"
	}
	return faultTexts[f]
}

// err turns the code into an error, nil for FaultNone.
func (f Fault) err() error {
	if f == FaultNone {
		return nil
	}
	return f
}
