package load

import "testing"

func TestShapesAreBounded(t *testing.T) {
	for shape, good := range map[Shape]bool{
		{Records: 64, RecordBytes: payloadMax / 64}:     true,
		{Records: 64, RecordBytes: payloadMax/64 + 1}:   false,
		{Records: 1 << 32, RecordBytes: 1 << 32}:        false,
		{Records: payloadMax, RecordBytes: 1}:           true,
		{Records: payloadMax + 1, RecordBytes: 1}:       false,
		{Records: 1, RecordBytes: 1, RandomRatio: 1.01}: false,
	} {
		if err := shape.valid(); (err == nil) != good {
			t.Errorf("%s: %v", shape, err)
		}
	}
}
