package entries

import "testing"

// FuzzRecords: a body whose sum holds may still be anything; walking it must not panic nor give more than it has.
func FuzzRecords(f *testing.F) {
	f.Add(appendEntry(appendState(nil, State{1, 2, 3}), Entry{Index: 1, Term: 1, Data: []byte("x")}), 2)
	f.Fuzz(func(t *testing.T, body []byte, count int) {
		total := 0
		records(body, count, func(e Entry) bool { total += len(e.Data); return true }, func(State) {})
		if total > len(body) {
			t.Fatalf("%d bytes of data from a body of %d", total, len(body))
		}
		decodeSnapshot(body)
		torn(body, int64(uint(count)%4096), 7, 1)
	})
}

func TestFoundingBytes(t *testing.T) {
	if foundingBytes != 64+28+25+1 {
		t.Fatal(foundingBytes)
	}
}
