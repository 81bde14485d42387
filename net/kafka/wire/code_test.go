package wire

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Where franz-go differs from Kafka 4.3's Errors.java and its exceptions' base classes, the table follows Kafka.
var (
	franzNames     = map[ErrorCode]string{CodeNotLeaderOrFollower: "NOT_LEADER_FOR_PARTITION"} // the name before KIP-392
	franzRetriable = map[ErrorCode]bool{
		CodeBrokerNotAvailable:       true,
		CodeConcurrentTransactions:   false, // retriable since KIP-890
		CodeShareSessionNotFound:     false,
		CodeInvalidShareSessionEpoch: false,
	}
)

func TestCodesAgreeWithFranz(t *testing.T) {
	for code := CodeUnknownServerError; code <= codeMax; code++ {
		err := kerr.TypedErrorForCode(int16(code))
		if code == CodeNone {
			if code.Name() != "NONE" || code.Retriable() {
				t.Errorf("none is %s", code)
			}
			continue
		}
		if err == nil || err.Code != int16(code) {
			t.Errorf("%d: franz-go does not know it", code)
			continue
		}
		name, retriable := code.Name(), code.Retriable()
		if other, ok := franzNames[code]; ok {
			name = other
		}
		if other, ok := franzRetriable[code]; ok {
			retriable = other
		}
		if name != err.Message || retriable != err.Retriable {
			t.Errorf("%d: %s, retriable %t, franz-go says %s, %t", int16(code), code, code.Retriable(), err.Message, err.Retriable)
		}
	}
}

func TestCodesOutsideTheTable(t *testing.T) {
	for _, code := range []ErrorCode{-32768, -2, codeMax + 1, 32767} {
		if code.Name() != "UNKNOWN_SERVER_ERROR" || code.Retriable() {
			t.Errorf("%d: %s, retriable %t", int16(code), code, code.Retriable())
		}
	}
}

func TestFaultsHaveTexts(t *testing.T) {
	for f := range faultCount {
		if f.Error() == "" {
			t.Errorf("fault %d has no text", f)
		}
	}
	if (faultCount + 5).Error() == "" {
		t.Error("a fault outside the table has no text")
	}
}
