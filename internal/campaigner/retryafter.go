package campaigner

import (
	"net/http"
	"strings"
	"time"
)

// longestWait bounds what a provider may ask for.
const longestWait = 24 * time.Hour

// retryAfter is how long an answer asks to wait, 0 where it does not say or what it says is over: its Retry-After in
// seconds or as a date, else what its message says, as "Please try again in 9 second(s).".
func (c *Client) retryAfter(res *http.Response, message string) time.Duration {
	text := strings.TrimSpace(res.Header.Get("Retry-After"))
	if text == "" {
		return secondsIn(message)
	}
	if n, ok := parseDigits(text); ok {
		return seconds(n)
	}
	if strings.Trim(text, "0123456789") == "" {
		return longestWait // more digits than fit
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return secondsIn(message)
	}
	// A date is of their clock, which may differ from ours.
	now := dateOf(res)
	if now.IsZero() {
		now = c.config.Now()
	}
	return min(max(at.Sub(now), 0), longestWait)
}

// secondsIn finds "try again in N second".
func secondsIn(message string) time.Duration {
	_, rest, found := strings.Cut(strings.ToLower(message), "try again in ")
	digits, unit, _ := strings.Cut(rest, " ")
	n, ok := parseDigits(digits)
	if !found || !ok || !strings.HasPrefix(unit, "second") {
		return 0
	}
	return seconds(n)
}

func seconds(n int64) time.Duration {
	return time.Duration(min(n, int64(longestWait/time.Second))) * time.Second
}

// dateOf is when the answer was made by the provider's clock; zero where it does not say.
func dateOf(res *http.Response) time.Time {
	at, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
