package campaignersim

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Faults of the API, by name. Those that refuse or break an answer hit the same request at most three times in a row.
const (
	RateLimitRetryAfter = "rate_limit_retry_after" // 429 with Retry-After, now in seconds, now as a date
	RateLimitBare       = "rate_limit_bare"        // 429 without
	ServerErrors        = "server_errors"          // bursts of up to three 5xx, of any request
	CutBody             = "cut_body"               // the connection ends in the middle of the answer
	Slow                = "slow"                   // an answer takes up to two seconds
	SmallPages          = "small_pages"            // a page has fewer rows than asked for, and says so; switch it between walks
	ShiftingRows        = "shifting_rows"          // rows come and move while pages are read; see walk
	DuplicateRows       = "duplicate_rows"         // some rows of a list come twice, and are counted twice
	NullItems           = "null_items"             // Items is null instead of empty, TotalPages 0 of a list that fits on a page
	MissingFields       = "missing_fields"         // some rows lack fields; never those that say which, who, when and what class
	ZonelessTimes       = "zoneless_times"         // times have no zone: they are in Forms.Zone
	MixedTimeForms      = "mixed_time_forms"       // times are in all forms of the webhooks
)

// APIFaults are the names of all of them.
var APIFaults = []string{RateLimitRetryAfter, RateLimitBare, ServerErrors, CutBody, Slow, SmallPages, ShiftingRows, DuplicateRows,
	NullItems, MissingFields, ZonelessTimes, MixedTimeForms}

// SetFaults switches on the faults of these names and all others off. The error names what is none of APIFaults; then
// nothing changes.
func (s *Server) SetFaults(names ...string) error {
	if err := checkAmong(APIFaults, names); err != nil {
		return err
	}
	s.chance.mu.Lock()
	defer s.chance.mu.Unlock()
	clear(s.chance.faults)
	for _, n := range names {
		s.chance.faults[n] = true
	}
	s.chance.limited, s.chance.burst = time.Time{}, 0
	s.walks.reset()
	return nil
}

// LimitRate answers every request with 429 until LiftRateLimit. With retryAfter of a second or more they are asked to
// come back after it.
func (s *Server) LimitRate(retryAfter time.Duration) {
	s.chance.mu.Lock()
	defer s.chance.mu.Unlock()
	s.chance.held, s.chance.heldFor = true, retryAfter
}

// LiftRateLimit ends what LimitRate began, and the time that an answer with Retry-After asked to wait.
func (s *Server) LiftRateLimit() {
	s.chance.mu.Lock()
	defer s.chance.mu.Unlock()
	s.chance.held, s.chance.limited = false, time.Time{}
}

// Stats tell how a client behaved.
type Stats struct {
	Requests int
	AtOnce   int            // the most at a time
	TooEarly int            // requests that came before the time which a Retry-After had named
	Faults   map[string]int // how many requests each fault that refuses, breaks or delays has hit
}

// Stats are those since the server was made.
func (s *Server) Stats() Stats {
	s.chance.mu.Lock()
	defer s.chance.mu.Unlock()
	stats := s.chance.stats
	stats.Faults = map[string]int{}
	for name, n := range s.chance.stats.Faults {
		stats.Faults[name] = n
	}
	return stats
}

const mostInARow = 3

// chance decides which requests are hit.
type chance struct {
	mu      sync.Mutex
	rng     *rand.Rand // nil until the first draw, since the seed may be set until then
	faults  map[string]bool
	inARow  map[string]int // how often the request was refused or broken since it was last answered
	burst   int            // so many server errors are still to come
	limited time.Time      // until when no request is welcome
	held    bool
	heldFor time.Duration
	stats   Stats
}

// hit is what a request meets.
type hit struct {
	status     int // 0 = it is answered
	message    string
	retryAfter string
	cut        bool
	slow       time.Duration
}

func (c *chance) arrived(atOnce int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stats.Requests++
	c.stats.AtOnce = max(c.stats.AtOnce, int(atOnce))
}

// on tells whether a fault is switched on.
func (c *chance) on(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.faults[name]
}

func (c *chance) draw(s *Server, request string, now time.Time) (h hit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rng == nil {
		c.rng = rand.New(rand.NewPCG(s.Seed, 6))
	}
	ratio := s.Ratio
	if ratio == 0 {
		ratio = 0.2
	}
	strikes := func(name string) bool {
		struck := c.faults[name] && c.rng.Float64() < ratio
		if struck {
			c.stats.Faults[name]++
		}
		return struck
	}
	if c.held {
		return c.tooMany(now.Add(c.heldFor), now, c.heldFor >= time.Second)
	}
	if now.Before(c.limited) {
		c.stats.TooEarly++
	}
	if strikes(Slow) {
		h.slow = time.Duration(50+c.rng.IntN(1950)) * time.Millisecond
	}
	if c.inARow[request] >= mostInARow {
		delete(c.inARow, request)
		return h
	}
	c.inARow[request]++
	slow := h.slow
	switch {
	case now.Before(c.limited):
		h = c.tooMany(c.limited, now, true)
	case strikes(RateLimitRetryAfter):
		c.limited = now.Truncate(time.Second).Add(time.Duration(1+c.rng.IntN(2)) * time.Second)
		h = c.tooMany(c.limited, now, true)
	case strikes(RateLimitBare):
		h = c.tooMany(now, now, false)
	case c.burst > 0:
		c.burst--
		h.status = pick(c.rng, serverErrors[:])
		c.stats.Faults[ServerErrors]++
	case strikes(ServerErrors):
		c.burst = c.rng.IntN(3)
		h.status = pick(c.rng, serverErrors[:])
	case strikes(CutBody):
		h.cut = true
	default:
		delete(c.inARow, request)
	}
	h.slow = slow
	return h
}

var serverErrors = [...]int{http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}

// tooMany is the 429 that names a time, if it does.
func (c *chance) tooMany(until, now time.Time, says bool) (h hit) {
	h.status = http.StatusTooManyRequests
	seconds := int64((until.Sub(now) + time.Second - 1) / time.Second)
	h.message = fmt.Sprintf("Maximum API calls allowed: 10 per 1 second(s). Please try again in %d second(s).", max(seconds, 1))
	switch {
	case !says:
	case c.rng.IntN(2) == 0:
		h.retryAfter = fmt.Sprint(seconds)
	default:
		h.retryAfter = until.Add(time.Second - 1).UTC().Format(http.TimeFormat)
	}
	return h
}
