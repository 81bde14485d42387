package batch

// Fault says why a batch is refused. Each names the Kafka error code a producer gets; net/kafka/api maps them in one place.
type Fault uint8

// The faults, in the order in which Validate looks for them. A later one is reported only if no earlier one holds, except that within the
// records FaultTimestamp wins over FaultKeyMissing and a broken structure wins over both, as in Kafka's LogValidator.
const (
	FaultNone         Fault = iota
	FaultTruncated          // INVALID_RECORD (87): no complete batch, or none at all
	FaultMalformed          // CORRUPT_MESSAGE (2): the length field cannot be that of a batch
	FaultMagic              // INVALID_RECORD (87): a message set of format 0 or 1; CORRUPT_MESSAGE in Kafka for magics never defined
	FaultExtraBatches       // INVALID_RECORD (87): bytes behind the first batch
	FaultBaseOffset         // INVALID_RECORD (87): base offset is not 0 as every client must send it
	FaultTooLarge           // MESSAGE_TOO_LARGE (10): more than max.message.bytes
	FaultCRC                // CORRUPT_MESSAGE (2)
	FaultCodec              // UNSUPPORTED_COMPRESSION_TYPE (76): codec number 5 to 7; Kafka answers UNKNOWN_SERVER_ERROR
	FaultCount              // INVALID_RECORD (87): no records, or a count that differs from the offset range
	FaultOffsets            // INVALID_RECORD (87): negative last offset delta
	FaultControl            // INVALID_RECORD (87): control batch from a client
	FaultSequence           // INVALID_RECORD (87): producer id without a sequence
	FaultRecord             // INVALID_RECORD (87): a record's structure is broken, or fewer or more records than counted
	FaultCompressed         // INVALID_RECORD (87): the payload does not decompress; Kafka answers UNKNOWN_SERVER_ERROR
	FaultInflated           // MESSAGE_TOO_LARGE (10): decompresses to more than Limits.OutputMax; Kafka has no such limit
	FaultTimestamp          // INVALID_TIMESTAMP (32): outside the topic's window, or the broker's timestamp type set by a client
	FaultKeyMissing         // INVALID_RECORD (87): no key on a compacted topic
	faultCount
)

var faultText = [faultCount]string{
	FaultNone:         "valid",
	FaultTruncated:    "no complete record batch",
	FaultMalformed:    "impossible batch length",
	FaultMagic:        "record format is not magic 2",
	FaultExtraBatches: "bytes behind the record batch",
	FaultBaseOffset:   "base offset is not 0",
	FaultTooLarge:     "batch larger than max.message.bytes",
	FaultCRC:          "checksum does not match",
	FaultCodec:        "unknown compression codec",
	FaultCount:        "record count does not match the offset range",
	FaultOffsets:      "negative last offset delta",
	FaultControl:      "control batch from a client",
	FaultSequence:     "producer id without sequence",
	FaultRecord:       "malformed record",
	FaultCompressed:   "payload does not decompress",
	FaultInflated:     "decompressed size over the limit",
	FaultTimestamp:    "timestamp out of range or of the wrong type",
	FaultKeyMissing:   "compacted topic cannot accept a record without key",
}

// String is a short reason in English, for error messages.
func (f Fault) String() string {
	if f >= faultCount {
		return "unknown fault"
	}
	return faultText[f]
}
