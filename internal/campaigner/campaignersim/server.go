package campaignersim

import (
	"context"
	"crypto/subtle"
	"net/http"
	"sync/atomic"
	"time"
)

// Server answers the provider's API of an account, under /v1: what has happened in it so far, whether or not a webhook told
// of it. Set its fields before it serves; its methods may be called meanwhile.
type Server struct {
	Seed  uint64  // of the faults
	Ratio float64 // of the requests that a fault hits which refuses or breaks an answer; 0 = 0.2
	// Now is the clock of the header Date and of the rate limit; nil = time.Now.
	Now func() time.Time
	// Sleep waits, as a slow answer does; nil = it really waits. It returns early when the context ends.
	Sleep func(context.Context, time.Duration)

	account *Account
	apiKey  string
	mux     *http.ServeMux
	index   *index
	chance  *chance
	walks   *walks
	atOnce  atomic.Int64
}

// NewServer serves an account to who has the API key.
func NewServer(a *Account, apiKey string) *Server {
	s := &Server{account: a, apiKey: apiKey, mux: http.NewServeMux(), index: newIndex(), walks: &walks{}}
	s.chance = &chance{faults: map[string]bool{}, inARow: map[string]int{}, stats: Stats{Faults: map[string]int{}}}
	for pattern, serve := range map[string]func(*request){
		"Ping":                                     s.ping,
		"Bounces":                                  func(r *request) { s.bounces(r, HardBounce, SoftBounce) },
		"Bounces/Hard":                             func(r *request) { s.bounces(r, HardBounce) },
		"Bounces/Soft":                             func(r *request) { s.bounces(r, SoftBounce) },
		"Bounces/{bounce}":                         s.bounce,
		"Campaigns":                                func(r *request) { s.campaigns(r, isActive) },
		"Campaigns/All":                            func(r *request) { s.campaigns(r, func(string) bool { return true }) },
		"Campaigns/Sent":                           func(r *request) { s.campaigns(r, isStatus("Sent")) },
		"Campaigns/Sending":                        func(r *request) { s.campaigns(r, isStatus("Sending")) },
		"Campaigns/Scheduled":                      func(r *request) { s.campaigns(r, isStatus("Scheduled")) },
		"Campaigns/Drafts":                         func(r *request) { s.campaigns(r, isStatus("Draft")) },
		"Campaigns/{campaign}":                     s.campaign,
		"Campaigns/{campaign}/{report}":            s.report,
		"Campaigns/{campaign}/Links":               s.links,
		"Campaigns/{campaign}/Links/{link}":        s.link,
		"Campaigns/{campaign}/Links/{link}/Clicks": s.linkClicks,
		"Subscribers/Complaints":                   func(r *request) { s.subscribers(r, Complaint) },
		"Subscribers/Removes":                      func(r *request) { s.subscribers(r, Unsubscribe) },
	} {
		s.mux.HandleFunc("GET /v1/"+pattern, func(w http.ResponseWriter, r *http.Request) { serve(s.request(w, r)) })
	}
	return s
}

// ServeHTTP answers 401 without a body to who has no key, like the provider.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.chance.arrived(s.atOnce.Add(1))
	defer s.atOnce.Add(-1)
	now := s.now()
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	if subtle.ConstantTimeCompare([]byte(r.Header.Get("ApiKey")), []byte(s.apiKey)) != 1 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	hit := s.chance.draw(s, r.URL.RequestURI(), now)
	if hit.slow > 0 {
		s.sleep(r.Context(), hit.slow)
	}
	if hit.status != 0 {
		if hit.retryAfter != "" {
			w.Header().Set("Retry-After", hit.retryAfter)
		}
		writeError(w, hit.status, hit.message)
		return
	}
	if hit.cut {
		w = cutter{w}
	}
	s.mux.ServeHTTP(w, r)
}

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Server) sleep(ctx context.Context, d time.Duration) {
	if s.Sleep == nil {
		sleep(ctx, d)
		return
	}
	s.Sleep(ctx, d)
}

// rights of a key by their names there; the first are those that only read what the simulator has, and the key has them.
var rights = [...]string{"Campaigns_GetStats", "Emails_Get", "Workflow_Access", "Campaigns_Add", "Creatives_Add", "Creatives_Get",
	"Database_CreateFields", "Database_ReadFields", "Elements_Create", "Elements_Get", "Emails_AddAndUpdate", "Emails_RemoveAndDelete",
	"ImageLibrary_Access", "PrivateLabel_Access", "PurchaseBehavior_Access", "RelaySends_Access", "ShortUrl_Access", "SMTP_Access"}

const readingRights = 3

// ping tells whose key it is and which of the rights it has.
func (s *Server) ping(r *request) {
	o := r.object()
	o.text("AccountName", s.account.Company)
	for i, right := range rights {
		o.bool(right, i < readingRights)
	}
	r.answer(append(o.b, '}'))
}

// writeError answers as the provider does; without a message there is no body.
func writeError(w http.ResponseWriter, status int, message string) {
	if message == "" {
		w.WriteHeader(status)
		return
	}
	o := object{b: []byte{'{'}}
	o.number("ErrorCode", int64(status*100+1))
	o.text("Message", message)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(o.b, '}')) // who asked has gone
}

// cutter breaks the connection in the middle of an answer, which is one write.
type cutter struct{ http.ResponseWriter }

func (c cutter) Write(b []byte) (int, error) {
	if len(b) > 0 {
		_, _ = c.ResponseWriter.Write(b[:len(b)/2])
		_ = http.NewResponseController(c.ResponseWriter).Flush() // what is not flushed is cut off too
	}
	panic(http.ErrAbortHandler)
}
