package campaigner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"monterey/internal/provider"
)

// DefaultBaseURL is where Campaigner's API is.
const DefaultBaseURL = "https://edapi.campaigner.com/v1"

// ClientConfig is what a Client needs to know. Only APIKey has no working zero value.
type ClientConfig struct {
	BaseURL      string // "" = DefaultBaseURL
	APIKey       Key
	Zone         *time.Location // of times without a zone; nil = UTC
	AllowPrivate bool           // base URLs that are http or lead to an address that is not public
	Limit        *Limit         // of the account; nil = one of its own with the defaults

	Attempts int           // of a request, the first one counted; 0 = 5
	MaxWait  time.Duration // the longest that a call sleeps at a time; a longer wait is a LaterError; 0 = 30 s
	Timeout  time.Duration // of one attempt; 0 = 60 s
	MaxBody  int64         // bytes of an answer, unpacked; 0 = 32 MiB

	Now   func() time.Time                           // nil = time.Now
	Sleep func(context.Context, time.Duration) error // ends early with the context's error; nil = a timer
}

// Client reads an account through Campaigner's API, called EDAPI. It may be used by many goroutines.
//
// A call asks again by itself after a passing failure: 408, 429, 5xx, the network, a body that was cut off. It waits at
// least as long as the provider says, else longer each time, by a random part so that jobs do not come in step. What it
// returns is a *LaterError when that takes too long, an *Error for what asking again does not change, or the context's
// error, wrapped.
//
// Neither proxies from the environment are used nor redirects followed: both would lead past the check of the address that
// is dialled.
type Client struct {
	config ClientConfig
	http   *http.Client
}

// NewClient checks the settings. The base URL must pass provider.CheckBaseURL; what its name resolves to is checked at
// each dial.
func NewClient(config ClientConfig) (*Client, error) {
	if config.BaseURL == "" {
		config.BaseURL = DefaultBaseURL
	}
	if wrong := provider.CheckBaseURL(config.BaseURL, config.AllowPrivate); wrong != "" {
		return nil, fmt.Errorf("campaigner: the base URL %s", wrong)
	}
	config.APIKey = Key(strings.TrimSpace(string(config.APIKey)))
	if config.APIKey == "" {
		return nil, errors.New("campaigner: there is no API key")
	}
	config.BaseURL = strings.TrimRight(config.BaseURL, "/")
	config.setDefaults()
	return &Client{config: config, http: newHTTPClient(config.AllowPrivate)}, nil
}

func (c *ClientConfig) setDefaults() {
	if c.Limit == nil {
		c.Limit = NewLimit(DefaultRate, DefaultAtOnce)
	}
	if c.Attempts <= 0 {
		c.Attempts = 5
	}
	if c.MaxWait <= 0 {
		c.MaxWait = 30 * time.Second
	}
	if c.Timeout <= 0 {
		c.Timeout = time.Minute
	}
	if c.MaxBody <= 0 {
		c.MaxBody = 32 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleepFor
	}
}

// Format is for every verb of fmt: fields that are not exported would print the key in spite of its own Format.
func (c Client) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "campaigner client of "+c.config.BaseURL) // f keeps its errors itself
}

// Close ends the connections that are kept for further calls.
func (c *Client) Close() { c.http.CloseIdleConnections() }

var errNotPublic = errors.New("the name of the base URL leads to an address that is not public")

func newHTTPClient(allowPrivate bool) *http.Client {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if !allowPrivate {
		// Here the name has been resolved, so no second look-up can give another address.
		dialer.Control = func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil || !provider.PublicAddr(at.Addr()) {
				return errNotPublic
			}
			return nil
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxIdleConnsPerHost:    DefaultAtOnce,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
