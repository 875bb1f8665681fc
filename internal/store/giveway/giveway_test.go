package giveway

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestGoFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c Counting
		waits := func(worked time.Duration) time.Duration {
			began := time.Now()
			c.GoFirst(t.Context(), worked)
			return time.Since(began)
		}
		if d := waits(time.Hour); d != 0 {
			t.Errorf("nothing is counted: it waits %s", d)
		}
		done := c.Begin()
		if d := waits(time.Second); d != Share*time.Second {
			t.Errorf("counting does not end: it waits %s", d)
		}
		time.AfterFunc(3*time.Second, done)
		if d := waits(time.Second); d < 3*time.Second+Lull || d > 3*time.Second+2*Lull {
			t.Errorf("counting ends after 3 s: it waits %s", d)
		}
		if d := waits(time.Hour); d != 0 {
			t.Errorf("in a lull it waits %s", d)
		}
		c.Begin()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if c.GoFirst(ctx, time.Hour); time.Since(began) != time.Second {
			t.Errorf("cancelled after a second, it waits %s", time.Since(began))
		}
	})
}
