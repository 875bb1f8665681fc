package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"monterey/internal/campaigner"
	"monterey/internal/ingest"
	"monterey/internal/loadgen"
	"monterey/internal/provider"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

const webhookKey = "bench-webhook-key"

// dataset is what stays of a data set beside its files.
type dataset struct {
	Shape string // of the workload that it was made of
	Made  time.Time
	Token string // an admin key of its workspace
	Drain drained
	Sizes sizes
}

func (o *options) shape() string {
	return fmt.Sprintf("%d events, %d campaigns, %d recipients, %d days, busy %s, duplicates %g",
		o.events, o.campaigns, o.recipients, o.days, o.lifetime, o.duplicates)
}

// dataName is the name of the data set's place.
const dataName = "data"

// dataset finds the data set of an earlier run, or makes it.
func (e *engine) dataset(ctx context.Context) (*dataset, error) {
	path := filepath.Join(e.dir, e.prefix("postgres-")+"dataset.json")
	var set dataset
	text, err := os.ReadFile(path)
	if err == nil {
		if err = json.Unmarshal(text, &set); err == nil && set.Shape != e.shape() {
			err = fmt.Errorf("%s holds another data set: %s", e.dir, set.Shape)
		}
	}
	switch {
	case err == nil:
		say("%sthe data set is there: %s", e.prefix("PostgreSQL: "), set.Shape)
		return &set, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	at, err := e.create(ctx, dataName) // there may be half a data set of a run that was ended
	if err != nil {
		return nil, err
	}
	if set.Token, err = e.fill(ctx, at); err != nil {
		return nil, err
	}
	if set.Drain, err = e.drainAll(ctx, at); err != nil {
		return nil, err
	}
	if set.Sizes, err = e.sizes(ctx, at); err != nil {
		return nil, err
	}
	if err := e.settle(ctx, at); err != nil {
		return nil, err
	}
	set.Shape, set.Made = e.shape(), time.Now()
	if text, err = json.MarshalIndent(set, "", "  "); err != nil {
		return nil, err
	}
	return &set, os.WriteFile(path, text, 0o600)
}

// fill makes a workspace as the program does, whose inbox is full, and returns an admin key.
func (b *bench) fill(ctx context.Context, at place) (token string, err error) {
	secret := provider.NewSecret()
	keys, err := provider.NewKeys(secret)
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(at.dir, "secret.key"), []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600); err != nil {
		return "", err
	}
	s, err := at.open(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	now := time.Now().UTC()
	w := workspace.Workspace{ID: workspace.NewID(), Name: "Bench", Timezone: "UTC", CreatedAt: now, UpdatedAt: now}
	if err := s.CreateWorkspace(ctx, w); err != nil {
		return "", err
	}
	key, token := workspace.NewKey(w.ID, "bench", workspace.Admin, now)
	if err := s.CreateKey(ctx, key); err != nil {
		return "", err
	}
	conn := provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: w.ID, Provider: provider.Campaigner, Timezone: "UTC",
		WebhookMAC: keys.WebhookMAC(webhookKey), CreatedAt: now, UpdatedAt: now}
	if err := s.CreateConnection(ctx, workspace.System(w.ID), conn); err != nil {
		return "", err
	}
	return token, b.fillInbox(ctx, s, ingest.Body{Workspace: w.ID, Connection: conn.ID})
}

// sections are how many parts of the data set's events come by turns one and 100 a body.
const sections = 10

func bodyOf(section int) int {
	if section%2 == 0 {
		return 1
	}
	return 100
}

// writers is how many append at once: enough for full groups.
const writers = 1024

func (b *bench) fillInbox(ctx context.Context, s store.Database, blank ingest.Body) error {
	began := time.Now()
	g := loadgen.NewGenerator(b.workload())
	total := g.Workload().Events
	for section := range sections {
		next, end, batch := atomic.Int64{}, total*(section+1)/sections, bodyOf(section)
		next.Store(int64(total * section / sections))
		work, ctx := errgroup.WithContext(ctx)
		bodies := sync.Pool{New: func() any { return new([]byte) }}
		for range writers {
			work.Go(func() error {
				for {
					first := int(next.Add(int64(batch))) - batch
					if first >= end {
						return nil
					}
					raw := bodies.Get().(*[]byte)
					*raw = g.AppendBody((*raw)[:0], first, min(batch, end-first))
					body := blank
					var err error
					if body.Objects, _, body.Raw, err = (campaigner.Webhook{}).Open(*raw); err != nil {
						return err
					}
					if _, _, err = s.Append(ctx, body); err != nil {
						return err
					}
					bodies.Put(raw)
				}
			})
		}
		if err := work.Wait(); err != nil {
			return fmt.Errorf("fill the inbox: %w", err)
		}
		say("%d of %d events are in the inbox", end, total)
	}
	say("the inbox is full after %s", time.Since(began).Round(time.Second))
	return nil
}
