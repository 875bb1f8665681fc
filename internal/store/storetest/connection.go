package storetest

import (
	"crypto/sha256"
	"testing"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

// addConnection makes a connection with this webhook key, none if it is "".
func addConnection(t *testing.T, s store.Store, c workspace.Caller, key string) provider.Connection {
	t.Helper()
	conn := newConnection(c, key)
	ok(t, s.CreateConnection(t.Context(), c, conn))
	return conn
}

func newConnection(c workspace.Caller, key string) provider.Connection {
	conn := provider.Connection{ID: provider.ID{UUID: uuid.Must(uuid.NewV7())}, Workspace: c.Workspace(), Provider: provider.Campaigner,
		Timezone: "UTC", CreatedAt: at(1), UpdatedAt: at(2)}
	if key != "" {
		conn.WebhookMAC = mac(key)
	}
	return conn
}

// mac stands for provider.Keys.WebhookMAC; to a store it is bytes.
func mac(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

func testConnection(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "Acme")
	conn := newConnection(c, "")
	ok(t, s.CreateConnection(ctx, c, conn))
	same(t, "without keys", must(s.GetConnection(ctx, c, conn.ID))(t), conn)
	for _, none := range [][]byte{nil, {}} {
		_, err := s.ConnectionByWebhook(ctx, none)
		wantFault(t, "no webhook key finds nobody who has none", err, fault.NotFound)
	}

	conn.BaseURL, conn.Timezone, conn.SyncSchedule, conn.RecoverOpens = "https://example.com/v1", "America/New_York", "0 3 * * *", provider.AllOpens
	conn.WebhookMAC, conn.APIKey, conn.UpdatedAt = mac("one"), []byte{0, 1, 0xff}, at(3)
	changed := conn
	changed.CreatedAt = at(99) // stays as it is
	ok(t, s.UpdateConnection(ctx, c, changed))
	same(t, "changed", must(s.GetConnection(ctx, c, conn.ID))(t), conn)
	same(t, "by webhook", must(s.ConnectionByWebhook(ctx, mac("one")))(t), conn)

	conn.WebhookMAC = mac("two")
	ok(t, s.UpdateConnection(ctx, c, conn))
	_, err := s.ConnectionByWebhook(ctx, mac("one"))
	wantFault(t, "the old webhook key", err, fault.NotFound)
	same(t, "list", must(s.ListConnections(ctx, c, everything))(t), page.Of[provider.Connection]{Items: []provider.Connection{conn}, Total: 1})
	second := must(s.ListConnections(ctx, c, page.Params{Number: 2, Size: 1}))(t)
	same(t, "page 2", second, page.Of[provider.Connection]{Total: 1})

	ok(t, s.DeleteConnection(ctx, c, conn.ID))
	_, err = s.GetConnection(ctx, c, conn.ID)
	wantFault(t, "get a deleted one", err, fault.NotFound)
	_, err = s.ConnectionByWebhook(ctx, mac("two"))
	wantFault(t, "the webhook of a deleted one", err, fault.NotFound)
	wantFault(t, "update a deleted one", s.UpdateConnection(ctx, c, conn), fault.NotFound)
	wantFault(t, "delete it again", s.DeleteConnection(ctx, c, conn.ID), fault.NotFound)
	same(t, "list without it", must(s.ListConnections(ctx, c, everything))(t).Total, int64(0))
	addConnection(t, s, c, "two") // provider and webhook key are free again
}

func testConnectionFaults(t *testing.T, s store.Store) {
	ctx := t.Context()
	one, two := addCaller(t, s, "one"), addCaller(t, s, "two")
	first := addConnection(t, s, one, "key")
	wantFault(t, "a second one to the provider", s.CreateConnection(ctx, one, newConnection(one, "other key")), fault.Conflict)
	wantFault(t, "another workspace's webhook key", s.CreateConnection(ctx, two, newConnection(two, "key")), fault.Conflict)
	same(t, "nothing was kept", must(s.ListConnections(ctx, two, everything))(t).Total, int64(0))

	// Without webhook keys two connections do not collide.
	second := addConnection(t, s, two, "")
	first.WebhookMAC = nil
	ok(t, s.UpdateConnection(ctx, one, first))
	first.WebhookMAC = mac("key")
	ok(t, s.UpdateConnection(ctx, one, first))
	second.WebhookMAC = mac("key")
	wantFault(t, "take another workspace's webhook key", s.UpdateConnection(ctx, two, second), fault.Conflict)
	same(t, "whose webhook", must(s.ConnectionByWebhook(ctx, mac("key")))(t).ID, first.ID)
}
