package provider

import (
	"context"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// Readable is the connection of the caller's workspace whose provider's API can be asked: it has an API key. The fault is
// Conflict when there is none.
func Readable(ctx context.Context, s Store, c workspace.Caller) (Connection, error) {
	all, err := s.ListConnections(ctx, c, page.Params{Number: 1, Size: page.MaxSize})
	if err != nil {
		return Connection{}, err
	}
	for _, conn := range all.Items {
		if len(conn.APIKey) > 0 {
			return conn, nil
		}
	}
	return Connection{}, fault.New(fault.Conflict, "the workspace has no provider connection with an API key; set one first")
}
