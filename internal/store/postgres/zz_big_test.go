package postgres

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestZZBig(t *testing.T) {
	if os.Getenv("BIG") == "" {
		t.Skip()
	}
	ctx := context.Background()
	if err := testServer.exec(ctx, "CREATE DATABASE big"); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, testServer.of(t, "big"), nil)
	if _, _, err := s.Migrate(ctx); err != nil {
		t.Fatal(err)
	}
	f := &fixture{Store: s, t: t, ws: 1}
	start := time.Now()
	f.write(func(tx pgx.Tx) {
		f.exec(tx, "SET LOCAL statement_timeout = 0")
		f.exec(tx, `INSERT INTO workspaces OVERRIDING SYSTEM VALUE VALUES (1, gen_random_uuid(), 'w', 'UTC', '\x00', 1, 1, 0)`)
		f.exec(tx, "INSERT INTO counters (workspace_id) VALUES (1)")
		f.exec(tx, "INSERT INTO campaigns (workspace_id, num, id, provider, provider_campaign_id, name, tags, status, discovered, archived, created_at, updated_at) SELECT 1, n, gen_random_uuid(), 'campaigner', n::text, 'c', '{}', '', false, false, 1, 1 FROM generate_series(1,200) n")
		f.exec(tx, "INSERT INTO recipients (workspace_id, hash, ordinal) SELECT 1, gen_random_uuid(), n FROM generate_series(1,100000) n")
		f.exec(tx, "INSERT INTO addresses SELECT 1, n, 'p' || n || '@example.com' FROM generate_series(1,100000) n")
		// 90 days back, 2 M events; each campaign over a week
		f.exec(tx, `INSERT INTO events (workspace_id, id, campaign, type, ordinal, updated_at, received_at, actor, class, source, link, delivery, ip, facts)
		SELECT 1, (lpad(to_hex(ms), 12, '0') || '8' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid, c, ty, 1 + (random()*99999)::int, ms*1000+n%1000, ms*1000, CASE WHEN ty IN (3,4) AND random() < 0.2 THEN 1 ELSE 0 END, CASE WHEN ty = 5 THEN 1 ELSE 0 END, 0, 0, 1, NULL, '{"id":"x"}'
		FROM (SELECT n, 1 + n % 200 AS c, (ARRAY[1,1,1,2,3,3,4,5,6,7])[1 + (random()*9)::int] AS ty,
			(extract(epoch from now())::bigint - 90*86400 + (n % 200) * 86400 * 83 / 200 + (random()*7*86400)::bigint) * 1000 AS ms FROM generate_series(1, 2000000) n) g ORDER BY ms`)
	})
	t.Log(time.Since(start))
	if err := testServer.exec(ctx, "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	f.write(func(tx pgx.Tx) { f.exec(tx, "SET LOCAL statement_timeout = 0"); f.exec(tx, "ANALYZE") })
	t.Log(time.Since(start))
}
