package wire

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// frameOf is a request as franz-go puts it on the wire, the length field taken off.
func frameOf(req kmsg.Request, client *string, correlation int32) []byte {
	var f *kmsg.RequestFormatter
	if client == nil {
		f = kmsg.NewRequestFormatter()
	} else {
		f = kmsg.NewRequestFormatter(kmsg.FormatterClientID(*client))
	}
	return f.AppendRequest(nil, req, correlation)[4:]
}

func TestParseHeaderReadsWhatKmsgWrites(t *testing.T) {
	long := string(bytes.Repeat([]byte{'x'}, 300))
	empty, short := "", "client"
	for i := range Keys {
		api := &Keys[i]
		for version := api.Min; version <= api.Max; version++ {
			for _, client := range []*string{nil, &empty, &short, &long} {
				req := kmsg.RequestForKey(api.Key)
				req.SetVersion(version)
				h, err := ParseHeader(frameOf(req, client, 12345))
				if err != nil {
					t.Fatalf("%s %d: %v", api.Name, version, err)
				}
				if h.Key != api.Key || h.Version != version || h.Correlation != 12345 || !sameNullable(h.ClientID, client) || !h.Served() {
					t.Fatalf("%s %d: got %+v", api.Name, version, h)
				}
				if want := req.AppendTo(nil); !bytes.Equal(h.Body, want) {
					t.Fatalf("%s %d: body %x, want %x", api.Name, version, h.Body, want)
				}
			}
		}
	}
}

func TestParseHeader(t *testing.T) {
	for _, c := range []struct {
		name   string
		frame  []byte
		fault  Fault
		served bool
		want   int32 // correlation
	}{
		{"empty", nil, FaultShort, false, 0},
		{"seven bytes", make([]byte, 7), FaultShort, false, 0},
		{"no client id", []byte{0, 3, 0, 1, 0, 0, 0, 9}, FaultShort, true, 9},
		{"client id cut short", []byte{0, 3, 0, 1, 0, 0, 0, 9, 0, 5, 'a'}, FaultLength, true, 9},
		{"no tags", []byte{0, 3, 0, 9, 0, 0, 0, 9, 0, 1, 'a'}, FaultShort, true, 9},
		{"lying tags", []byte{0, 3, 0, 9, 0, 0, 0, 9, 0, 1, 'a', 0xff, 0xff, 0xff, 0xff, 0x0f}, FaultCount, true, 9},
		{"a tag passed over", []byte{0, 3, 0, 9, 0, 0, 0, 9, 0, 1, 'a', 1, 7, 2, 1, 2}, FaultNone, true, 9},
		{"unknown key", []byte{0, 4, 0, 0, 0, 0, 0, 9, 0xff, 0xff}, FaultKey, false, 9},
		{"negative key", []byte{0xff, 0xff, 0, 0, 0, 0, 0, 9, 0xff, 0xff}, FaultKey, false, 9},
		{"version above", []byte{0, 3, 0, 99, 0, 0, 0, 9, 0xff, 0xff}, FaultVersion, false, 9},
		{"produce named but not served", []byte{0, 0, 0, 2, 0, 0, 0, 9, 0xff, 0xff}, FaultVersion, false, 9},
		{"unknown ApiVersions", []byte{0, 18, 0, 99, 0, 0, 0, 9}, FaultNone, false, 9},
		{"negative ApiVersions", []byte{0, 18, 0xff, 0xff, 0, 0, 0, 9, 1, 2, 3}, FaultNone, false, 9},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := ParseHeader(c.frame)
			if err != c.fault.err() || h.Correlation != c.want || h.Served() != c.served {
				t.Fatalf("got %+v, %v, served %t", h, err, h.Served())
			}
			if h.Body != nil && (c.fault != FaultNone || !c.served) {
				t.Fatalf("body %x of a request that is not to be decoded", h.Body)
			}
		})
	}
}

func TestParseHeaderAllocatesNothing(t *testing.T) {
	client := "client"
	frame := frameOf(kmsg.NewPtrMetadataRequest(), &client, 1)
	broken := []byte{0, 3, 0, 1, 0, 0, 0, 9, 0, 5, 'a'}
	if n := testing.AllocsPerRun(100, func() {
		_, _ = ParseHeader(frame)
		_, _ = ParseHeader(broken)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestResponseHeader(t *testing.T) {
	for i := range Keys {
		api := &Keys[i]
		for version := api.Min; version <= api.Max; version++ {
			// The ApiVersions answer never has header tags, so that any client can read it.
			tags := api.IsFlexible(version) && api.Key != KeyAPIVersions
			buf := AppendResponseHeader([]byte("before"), api, version, 42)
			buf = append(buf, "body"...)
			FinishFrame(buf, len("before"), 0)
			body, err := openFrame(buf[len("before"):], 42, tags)
			if err != nil || string(body) != "body" {
				t.Errorf("%s %d: body %q, %v", api.Name, version, body, err)
			}
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	client := "client"
	for i := range Keys {
		req := kmsg.RequestForKey(Keys[i].Key)
		req.SetVersion(Keys[i].Max)
		f.Add(frameOf(req, &client, 1))
		f.Add(frameOf(req, nil, 1))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, err := ParseHeader(frame)
		if err != nil || h.Body == nil {
			return
		}
		if want := fmt.Sprintf("%x", frame[len(frame)-len(h.Body):]); fmt.Sprintf("%x", h.Body) != want {
			t.Fatalf("body %x is not the frame's end", h.Body)
		}
	})
}
