package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"sync"
	"time"

	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/provider"
)

// Decoder reads a provider's webhook bodies.
type Decoder interface {
	// Open checks that a body can be read and says how many objects it has, which different keys they carry ("" for an
	// object without one), and what it is with the keys blanked. Malformed when it cannot be read.
	Open(body []byte) (objects int, keys []string, blanked []byte, err error)
	// Decode reads an opened body, an Object an object in its order. zone is how times without one are meant.
	Decode(body []byte, zone *time.Location, receivedAt time.Time) []delivery.Object
}

// keyTTL is how long a webhook key that was once found is trusted without asking the store again.
const keyTTL = time.Second

// Intake receives webhooks.
type Intake struct {
	inbox       Inbox
	connections provider.Store
	keys        *provider.Keys
	decoder     Decoder
	now         func() time.Time

	mu    sync.Mutex
	known map[string]knownKey // by webhook key; only keys that opened something, so outsiders cannot fill it
}

type knownKey struct {
	conn  provider.Connection
	until time.Time
}

// NewIntake makes an intake that appends to the inbox.
func NewIntake(inbox Inbox, connections provider.Store, keys *provider.Keys, d Decoder, now func() time.Time) *Intake {
	return &Intake{inbox: inbox, connections: connections, keys: keys, decoder: d, now: now, known: map[string]knownKey{}}
}

// Receive keeps an unpacked body and returns once it is durable. Malformed when it cannot be read, Unauthorized when an
// object has no key, a wrong one, or another connection's than the rest, Unavailable when it cannot be stored: in all of
// these nothing of the body is kept.
func (in *Intake) Receive(ctx context.Context, body []byte) (delivery.ID, int, time.Time, error) {
	objects, keys, blanked, err := in.decoder.Open(body)
	if err != nil {
		return delivery.ID{}, 0, time.Time{}, err
	}
	if len(keys) != 1 || keys[0] == "" {
		return delivery.ID{}, 0, time.Time{}, fault.New(fault.Unauthorized, "every object must carry the webhook key of one connection")
	}
	conn, err := in.connection(ctx, keys[0])
	if err != nil {
		return delivery.ID{}, 0, time.Time{}, err
	}
	id, at, err := in.inbox.Append(ctx, Body{Workspace: conn.Workspace, Connection: conn.ID, Raw: in.withoutKey(blanked, keys[0]), Objects: objects})
	if fault.Is(err, fault.NotFound) { // the workspace was deleted after its key was looked up
		err = errUnknownKey()
	}
	return id, objects, at, err
}

func errUnknownKey() error { return fault.New(fault.Unauthorized, "the webhook key is not known") }

// withoutKey blanks the webhook key where it stands as a text in other fields than the one that it belongs in. It does so only
// if the body says the same without it: a key may be the name of a field, or be an address or an id too.
func (in *Intake) withoutKey(body []byte, key string) []byte {
	text, err := json.Marshal(key)
	if err != nil || !bytes.Contains(body, text) {
		return body
	}
	blanked, now := bytes.ReplaceAll(body, text, []byte(`""`)), in.now()
	if !reflect.DeepEqual(in.decoder.Decode(blanked, time.UTC, now), in.decoder.Decode(body, time.UTC, now)) {
		return body
	}
	return blanked
}

func (in *Intake) connection(ctx context.Context, key string) (provider.Connection, error) {
	now := in.now()
	in.mu.Lock()
	k, ok := in.known[key]
	in.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.conn, nil
	}
	conn, err := in.connections.ConnectionByWebhook(ctx, in.keys.WebhookMAC(key))
	in.mu.Lock()
	defer in.mu.Unlock()
	if err != nil {
		delete(in.known, key)
		if fault.Is(err, fault.NotFound) {
			return conn, errUnknownKey()
		}
		return conn, err
	}
	in.known[key] = knownKey{conn: conn, until: now.Add(keyTTL)}
	return conn, nil
}
