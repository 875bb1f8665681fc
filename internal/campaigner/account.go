package campaigner

import (
	"context"
	"time"

	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// Accounts opens the accounts that workspaces are connected to. It may be used by many goroutines.
type Accounts struct {
	Connections  provider.Store
	Keys         *provider.Keys
	Limits       *Limits
	AllowPrivate bool
	Now          func() time.Time                           // nil = time.Now
	Sleep        func(context.Context, time.Duration) error // nil = a timer
}

// Open is a client for the account of the caller's workspace, and the connection that it was opened by. The caller closes
// the client. The fault is Conflict when there is no connection with an API key, or one that cannot be used.
func (a *Accounts) Open(ctx context.Context, c workspace.Caller) (*Client, provider.Connection, error) {
	conn, err := provider.Readable(ctx, a.Connections, c)
	if err != nil {
		return nil, conn, err
	}
	key, err := a.Keys.Open(conn.APIKey)
	if err != nil {
		return nil, conn, fault.Wrap(fault.Conflict, err, "the connection's API key was sealed with another secret key; set it anew")
	}
	zone, err := time.LoadLocation(conn.Timezone)
	if err != nil {
		return nil, conn, fault.Wrap(fault.Conflict, err, "the connection's time zone %q is unknown here", conn.Timezone)
	}
	client, err := NewClient(ClientConfig{BaseURL: conn.BaseURL, APIKey: Key(key), Zone: zone, AllowPrivate: a.AllowPrivate,
		Limit: a.Limits.Of(conn.ID), Now: a.Now, Sleep: a.Sleep})
	if err != nil {
		return nil, conn, fault.Wrap(fault.Conflict, err, "the connection cannot be used: %v", err)
	}
	return client, conn, nil
}
