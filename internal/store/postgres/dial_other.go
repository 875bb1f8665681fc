//go:build !linux

package postgres

import "time"

// giveUpAfter is known on Linux alone.
func giveUpAfter(uintptr, time.Duration) {}
