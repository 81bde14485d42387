package wire

import (
	"bytes"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The answer to a Heartbeat is what kmsg writes, in every version, and fits.
func TestHeartbeatIsAsKmsgWritesIt(t *testing.T) {
	api := Lookup(KeyHeartbeat)
	for version := api.Min; version <= api.Max; version++ {
		for _, row := range []struct {
			throttle int32
			code     int16
		}{{0, 0}, {1234, 0}, {0, 27}, {1 << 30, -1}} {
			resp := kmsg.NewPtrHeartbeatResponse()
			resp.SetVersion(version)
			resp.ThrottleMillis, resp.ErrorCode = row.throttle, row.code
			want := resp.AppendTo(AppendResponseHeader(nil, api, version, 77))
			FinishFrame(want, 0, 0)
			got := AppendHeartbeat([]byte("before"), version, 77, row.throttle, row.code)[len("before"):]
			if !bytes.Equal(got, want) || len(got) > HeartbeatRoom {
				t.Errorf("version %d, %+v: %x, want %x", version, row, got, want)
			}
		}
	}
}
