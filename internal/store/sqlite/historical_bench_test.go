package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/provider"
)

const (
	benchBounces = 1_000_000
	benchPage    = 1000 // of the provider
)

// benchHistory is a page of a history of five years, of 700 000 people, as a provider gives it: by id, nearly by time.
func benchHistory(rnd *rand.Rand, first, n int) []bounce.Historical {
	rows := make([]bounce.Historical, n)
	for i := range rows {
		id := first + i
		rows[i] = bounce.Historical{ProviderEventID: strconv.Itoa(48_000_000 + 3*id), Address: benchPerson(rnd.IntN(700_000)), Class: bounce.Classes[min(rnd.IntN(10)/6, 1)],
			OccurredAt: fixtureStart.AddDate(-5, 0, 0).Add(time.Duration(id)*157*time.Second + time.Duration(rnd.IntN(3600))*time.Second),
			Status:     "Hard Bounced", Detail: bounce.Detail{SMTPCode: 550, EnhancedCode: "5.1.1", Label: "Hard", Code: strconv.Itoa(rnd.IntN(60)),
				Reason: fmt.Sprintf("smtp;550 5.1.1 <p%d@example.com>: Recipient address rejected: User unknown in virtual mailbox table", id)}}
	}
	return rows
}

// benchPerson: half are at one of five large domains.
func benchPerson(i int) string {
	if i%2 == 0 {
		return fmt.Sprintf("person%06d@large%d.example", i, i%5)
	}
	return fmt.Sprintf("person%06d@domain%d.example", i, i%997)
}

// BenchmarkHistory: putting 1 M bounces, reading them again unchanged, and what is asked of them. One account holds 1000
// addresses, 200 000 addresses have an account.
func BenchmarkHistory(b *testing.B) {
	f := newFixture(b, 5, 0, 0)
	next, rnd := 0, rand.New(rand.NewPCG(1, 2))
	put := func(b *testing.B, rows []bounce.Historical) {
		if _, err := f.PutBounces(b.Context(), f.caller, provider.Campaigner, rows); err != nil {
			b.Fatal(err)
		}
	}
	page := func() []bounce.Historical {
		next += benchPage
		return benchHistory(rnd, next-benchPage, benchPage)
	}
	f.write(func(tx *sql.Tx) {
		for i := range 200_000 {
			number := fmt.Sprint("A", i)
			if i < 1000 {
				number = "large"
			}
			f.exec(tx, "INSERT INTO accounts (workspace, address, number) VALUES (?, ?, ?)", f.ws, benchPerson(i), number)
		}
	})
	start := time.Now()
	for next < benchBounces {
		put(b, page())
	}
	fmt.Printf("# %d bounces put in %.1f s\n", benchBounces, time.Since(start).Seconds())
	rate := func(b *testing.B) { b.ReportMetric(float64(b.N*benchPage)/b.Elapsed().Seconds(), "rows/s") }
	b.Run("put", func(b *testing.B) {
		for b.Loop() {
			put(b, page())
		}
		rate(b)
	})
	b.Run("put again unchanged", func(b *testing.B) {
		rows := page()
		put(b, rows)
		for b.Loop() {
			put(b, rows)
		}
		rate(b)
	})
	for _, bench := range []struct {
		name string
		p    bounce.ListParams
	}{
		{"page 1", bounce.ListParams{Limit: 50}},
		{"page 10000", bounce.ListParams{Limit: 50, Offset: 499_950}},
		{"page 1 of a class", bounce.ListParams{Limit: 50, Filter: bounce.Filter{Classes: []bounce.Class{bounce.Hard}}}},
		{"page 10000 of two classes", bounce.ListParams{Limit: 50, Offset: 499_950, Filter: bounce.Filter{Classes: []bounce.Class{bounce.Hard, bounce.Soft}}}},
		{"address", bounce.ListParams{Limit: 50, Filter: bounce.Filter{Address: []string{benchPerson(7)}}}},
		{"account of 1000 addresses", bounce.ListParams{Limit: 50, Filter: bounce.Filter{Accounts: []string{"large"}}}},
		{"range of half a day", bounce.ListParams{Limit: 50, Filter: bounce.Filter{From: fixtureStart.AddDate(-2, 0, 0).Add(time.Hour), To: fixtureStart.AddDate(-2, 0, 0).Add(13 * time.Hour)}}},
		{"changes", bounce.ListParams{Limit: 50, Order: bounce.UpdatedFirst, Filter: bounce.Filter{UpdatedFrom: fixtureStart}}},
		{"export", bounce.ListParams{Limit: 5000, NoTotal: true, After: &bounce.Cursor{OccurredAt: fixtureStart.AddDate(-2, 0, 0)}}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			rows := 0
			for b.Loop() {
				got, err := f.ListBounces(ctx, f.caller, bench.p)
				if err != nil || len(got.Items) == 0 {
					b.Fatalf("%d bounces, error %v", len(got.Items), err)
				}
				rows += len(got.Items)
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(rows), "µs/row")
		})
	}
	b.Run("check of 10000", func(b *testing.B) {
		addresses := make([]string, 10_000)
		for i := range addresses {
			addresses[i] = benchPerson(i * 71)
		}
		for b.Loop() {
			got, err := f.CheckSuppressions(b.Context(), f.caller, addresses)
			if err != nil || len(got) != len(addresses) {
				b.Fatalf("%d are suppressed, error %v", len(got), err)
			}
		}
	})
}
