package measure

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kadm"

	"pinion/bench/machine"
)

// Processes finds the processes of all brokers, by where these say that they listen: what a client was told to connect to may be a proxy.
// There are none if one of the brokers is not on this machine, or is not seen, for then nobody knows what all of them use.
func Processes(ctx context.Context, admin *kadm.Client) (pids []int, err error) {
	metadata, err := admin.BrokerMetadata(ctx)
	if err != nil {
		return nil, fmt.Errorf("brokers: %w", err)
	}
	for _, b := range metadata.Brokers {
		some, err := machine.Listeners(net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port))))
		if err != nil || len(some) == 0 {
			return nil, err
		}
		pids = append(pids, some...)
	}
	return pids, nil
}
