package postgres

import (
	"net"
	"syscall"
	"time"
)

// dialer makes connections that notice when nobody is there any more, whether they wait for an answer (keep-alive) or for what
// they sent to be received, which the system would try for a quarter of an hour.
func dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silentFor / 2, Interval: silentFor / 5, Count: 3},
		Control: func(network, _ string, c syscall.RawConn) error {
			if network == "unix" {
				return nil
			}
			return c.Control(func(fd uintptr) { giveUpAfter(fd, silentFor) })
		},
	}
}
