package device

import "unsafe"

// Boundary is what a device writes whole, in bytes: where buffers begin, and what they and positions are multiples of, for writes past the
// page cache.
const Boundary = 512

// Aligned makes an empty buffer with room for n bytes, and more up to a Boundary, that begins on one.
func Aligned(n int) []byte {
	n = (n + Boundary - 1) / Boundary * Boundary
	b := make([]byte, n+Boundary-1)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(b))) % Boundary
	return b[skip : skip : int(skip)+n]
}

// Whole is the largest part [from, to) of b that begins and ends on a Boundary; empty where there is none.
func Whole(b []byte) (from, to int) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	from = int(-at % Boundary)
	to = len(b) - int((at+uintptr(len(b)))%Boundary)
	if from >= to {
		return 0, 0
	}
	return from, to
}
