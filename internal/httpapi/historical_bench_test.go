package httpapi

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/bounce"
	"monterey/internal/provider"
	"monterey/internal/store/sqlite"
	"monterey/internal/workspace"
)

// BenchmarkHistoricalExport reads the CSV of 1 M bounces of 500 000 addresses over a connection.
func BenchmarkHistoricalExport(b *testing.B) {
	const rows, page = 1_000_000, 1000
	store, err := sqlite.Open(filepath.Join(b.TempDir(), "monterey.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	if _, _, err := store.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	ws := workspace.Workspace{ID: testWorkspace, Name: "w", Timezone: "UTC", CreatedAt: moment1, UpdatedAt: moment1}
	if err := store.CreateWorkspace(b.Context(), ws); err != nil {
		b.Fatal(err)
	}
	for first := 0; first < rows; first += page {
		history := make([]bounce.Historical, page)
		for i := range history {
			n := first + i
			history[i] = bounce.Historical{ProviderEventID: fmt.Sprint(48_000_000 + n), Address: fmt.Sprintf("person%d@example.com", n%500_000), Class: bounce.Hard,
				OccurredAt: moment1.Add(time.Duration(n) * 97 * time.Second), Detail: bounce.Detail{SMTPCode: 550, EnhancedCode: "5.1.1", Label: "Hard",
					Reason: fmt.Sprintf("smtp;550 5.1.1 <person%d@example.com>: Recipient address rejected: User unknown, \"really\"", n%500_000)}}
		}
		if _, err := store.PutBounces(b.Context(), workspace.System(ws.ID), provider.Campaigner, history); err != nil {
			b.Fatal(err)
		}
	}
	who := workspace.Identity{ID: uuid.New(), Memberships: []workspace.Membership{{Workspace: ws.ID, Role: workspace.Viewer}}}
	server := httptest.NewServer(New(Config{Auth: fixedAuth{"viewer": who}, Workspaces: store, Bounces: store}))
	defer server.Close()
	for b.Loop() {
		r, err := http.NewRequestWithContext(b.Context(), "GET", server.URL+"/historical-bounces/export", nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer viewer")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close() // all of it was read
		if err != nil || n < 100*rows {
			b.Fatal(n, err)
		}
		b.SetBytes(n)
	}
}
