package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"math/rand/v2"
	"testing"

	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
)

// TestRollupSets writes rows that grow large, shrink and go, and finds each as it was written, and no set that no row refers to.
func TestRollupSets(t *testing.T) {
	f := newFixture(t, 1, 2, 2)
	r := rand.New(rand.NewPCG(5, 6))
	want := map[rollup.Key]*rollup.Row{}
	larges := 0
	for range 60 {
		rows := map[rollup.Key]*rollup.Row{}
		for range 8 {
			k := rollup.Key{Campaign: f.campaigns[r.IntN(2)].ID, Span: rollup.Day, Bucket: r.Int64N(4) * rollup.DaySeconds}
			rows[k] = rollup.NewRow()
			for range r.IntN(2) * r.IntN(2000) {
				rows[k].Add(rollup.Fact{At: k.Bucket, Recipient: recipient.Ordinal(1 + r.IntN(1<<20)), Type: event.Sent})
			}
			want[k] = rows[k]
		}
		for _, k := range []rollup.Span{rollup.Quarter, rollup.Hour} { // whose quarters may be what is large
			key := rollup.Key{Campaign: f.campaigns[0].ID, Span: k, Bucket: 0}
			rows[key] = want[rollup.Key{Campaign: f.campaigns[0].ID, Span: rollup.Day, Bucket: 0}]
			if rows[key] == nil {
				rows[key] = rollup.NewRow()
			}
			want[key] = rows[key]
		}
		if err := f.Rewrite(t.Context(), f.caller, func(tx ingest.WorkspaceTx) error { return tx.PutRollups(t.Context(), rows) }); err != nil {
			t.Fatal(err)
		}
		larges += checkSets(t, f, want)
	}
	if larges == 0 {
		t.Error("no row was large: nothing was tried")
	}
}

// checkSets compares the stored rows with those wanted and returns how many are large.
func checkSets(t *testing.T, f *fixture, want map[rollup.Key]*rollup.Row) (larges int) {
	t.Helper()
	f.inView(func(v rollup.View) {
		found := 0
		for _, c := range f.campaigns {
			for _, span := range []rollup.Span{rollup.Quarter, rollup.Hour, rollup.Day} {
				err := v.Rows(context.Background(), []rollup.Stretch{{Campaign: c.ID, Span: span, To: 1 << 40}}, func(_ int, bucket int64, counts, sets []byte) error {
					row := want[rollup.Key{Campaign: c.ID, Span: span, Bucket: bucket}]
					if row == nil {
						t.Fatalf("a row that nobody wrote at %d", bucket)
					}
					if wc, ws := row.Marshal(); !bytes.Equal(counts, wc) || !bytes.Equal(sets, ws) {
						t.Fatalf("another row at %d", bucket)
					}
					found++
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
		}
		some := 0
		for _, row := range want {
			if row.Count[rollup.Sent] > 0 {
				some++
			}
		}
		if found != some {
			t.Fatalf("%d rows, want %d", found, some)
		}
	})
	f.write(func(tx *sql.Tx) {
		var lost, spare int
		err := tx.QueryRow(`SELECT (SELECT count(*) FROM rollups WHERE large <> 0), (SELECT count(*) FROM rollups WHERE large <> 0 AND large NOT IN (SELECT num FROM rollup_sets)),
			(SELECT count(*) FROM rollup_sets WHERE num NOT IN (SELECT large FROM rollups))`).Scan(&larges, &lost, &spare)
		if err != nil || lost != 0 || spare != 0 {
			t.Fatalf("%d large rows, %d of them without sets, %d sets without rows, %v", larges, lost, spare, err)
		}
	})
	return larges
}

// TestRollupSetsMigration: rows that were written with their sets, however large, are found after migration 13.
func TestRollupSetsMigration(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	p, err := f.migrations()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	f.write(func(tx *sql.Tx) {
		for _, text := range []string{"DROP TRIGGER rollups_written_anew", "DROP TRIGGER rollups_removed", "DROP TABLE rollup_sets", "ALTER TABLE rollups DROP COLUMN large",
			"DELETE FROM goose_db_version WHERE version_id >= 13"} {
			f.exec(tx, text)
		}
		for i, n := range []int{3, 5000, 100, 1000} {
			row := rollup.NewRow()
			for o := range n {
				row.Add(rollup.Fact{At: 1, Recipient: recipient.Ordinal(1 + 3*o), Type: event.Sent})
			}
			counts, sets := row.Marshal()
			f.exec(tx, "INSERT INTO rollups (workspace, campaign, span, bucket, counts, sets, quarters) VALUES (?, 1, 2, ?, ?, ?, x'11')", f.ws, i*3600, counts, sets)
		}
	})
	if _, err := p.Up(ctx); err != nil {
		t.Fatal(err)
	}
	id := f.campaigns[0].ID
	var got []uint64
	f.inView(func(v rollup.View) {
		for _, span := range []rollup.Span{rollup.Hour, rollup.Quarter} {
			err := v.Rows(ctx, []rollup.Stretch{{Campaign: id, Span: span, To: 1 << 40}}, func(_ int, _ int64, counts, sets []byte) error {
				row, err := rollup.Unmarshal(bytes.Clone(counts), bytes.Clone(sets))
				if err == nil {
					got = append(got, row.Set[rollup.Sent].GetCardinality())
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if len(got) != 8 || got[1] != 5000 || got[4] != 3 || got[7] != 1000 {
		t.Errorf("the rows have %v recipients", got)
	}
	f.write(func(tx *sql.Tx) {
		var large, inline int
		if err := tx.QueryRow("SELECT (SELECT count(*) FROM rollup_sets), (SELECT count(*) FROM rollups WHERE length(sets) > 600)").Scan(&large, &inline); err != nil || large == 0 || inline != 0 {
			t.Errorf("%d sets moved, %d large ones stay, %v", large, inline, err)
		}
	})
}
