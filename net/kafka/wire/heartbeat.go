package wire

// HeartbeatRoom is the most bytes the answer to a Heartbeat takes: length, correlation id, tags, throttle time, error and tags.
const HeartbeatRoom = lengthBytes + 4 + 1 + 4 + 2 + 1

// AppendHeartbeat writes the answer to a Heartbeat, a whole frame.
func AppendHeartbeat(dst []byte, version int16, correlation, throttleMs int32, code int16) []byte {
	start := len(dst)
	dst = AppendResponseHeader(dst, Lookup(KeyHeartbeat), version, correlation)
	if version >= 1 {
		dst = appendInt32(dst, throttleMs)
	}
	dst = appendInt16(dst, code)
	if version >= Lookup(KeyHeartbeat).Flexible {
		dst = append(dst, 0)
	}
	FinishFrame(dst, start, 0)
	return dst
}
