package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layers say which of our packages each of our packages may import, as prefixes of paths below internal/. A package
// without a layer fails the test: deciding where it belongs is part of making it.
//
//	cmd → httpapi, web, auth, ingest, drivers → nouns → workspace, fault → nothing of ours
var layers = []layer{
	{in: []string{"fault", "page"}, outside: noun},
	{in: []string{"workspace"}, may: []string{"fault", "page"}, outside: noun},
	{in: []string{"account", "bounce", "campaign", "delivery", "event", "provider", "recipient", "reconciliation", "rollup", "suppression", "task"},
		may: nouns, outside: noun},
	{in: []string{"task/jobs"}, may: nouns, outside: noSQL},
	{in: []string{"account/directory"}, may: nouns, outside: []string{"net/http"}}, // reads a database that is not ours
	{in: []string{"campaigner"}, may: slices.Concat(nouns, []string{"campaigner"}), outside: noSQL},
	{in: []string{"ingest"}, may: slices.Concat(nouns, []string{"campaigner", "ingest"}), outside: noSQL},
	{in: []string{"backfill", "campaignsync"}, may: slices.Concat(nouns, []string{"campaigner"}), outside: noSQL},
	{in: []string{"recovery"}, may: slices.Concat(nouns, []string{"campaigner", "campaignsync", "ingest"}), outside: noSQL},
	{in: []string{"auth"}, may: nouns, outside: noSQL},
	{in: []string{"httpapi", "web"}, may: slices.Concat(nouns, []string{"auth", "ingest", "httpapi", "web"}), outside: noSQL},
	{in: []string{"store/sqlite", "store/postgres"}, may: slices.Concat(nouns, []string{"ingest", "store"}), outside: []string{"net/http"}},
	{in: []string{"store/eventlist"}, may: nouns, outside: noun},
	{in: []string{"store/transfer"}, may: slices.Concat(nouns, []string{"ingest", "store"}), outside: []string{"net/http"}},
	{in: []string{"store", "store/storetest"}, may: slices.Concat(nouns, []string{"ingest", "store"})},
	{in: []string{"loadgen"}, may: slices.Concat(nouns, []string{"campaigner"}), outside: noSQL},
	{in: []string{"oracle"}, may: nouns, outside: noSQL},
	{in: []string{"apptest", "bench", "store/testdb"}, may: []string{"*"}},
	{in: []string{"cmd/monterey"}, may: []string{"*"}},
}

var nouns = []string{"account", "bounce", "campaign", "delivery", "event", "fault", "page", "provider", "recipient", "reconciliation", "rollup",
	"suppression", "task", "workspace"}

var (
	noSQL   = []string{"database/sql", "modernc.org/sqlite", "github.com/jackc/pgx/v5"}
	noun    = slices.Concat(noSQL, []string{"net/http", "os", "log", "log/slog", "flag"})
	drivers = []string{"store/sqlite", "store/postgres"}
)

type layer struct {
	in      []string // the packages
	may     []string // what of ours they may import; "*" is everything
	outside []string // what of others they must not import, as prefixes
}

type listed struct {
	ImportPath string
	Imports    []string
}

// TestImports walks what go list says of every package of the module, tests left out.
func TestImports(t *testing.T) {
	packages := goList(t)
	if len(packages) < 10 {
		t.Fatalf("go list knows %d packages of ours only", len(packages))
	}
	for _, p := range packages {
		for _, wrong := range forbidden(p) {
			t.Errorf("%s must not import %s (who imports whom is in this test)", p.ImportPath, wrong)
		}
		if layerOf(short(p.ImportPath)) == nil {
			t.Errorf("%s is in no layer: say in this test what it may import", p.ImportPath)
		}
	}
}

// TestForbidden makes each rule fail once.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		from, to string
		bad      bool
	}{
		{"monterey/internal/fault", "monterey/internal/page", true},
		{"monterey/internal/workspace", "monterey/internal/campaign", true},
		{"monterey/internal/workspace", "monterey/internal/fault", false},
		{"monterey/internal/campaign", "net/http", true},
		{"monterey/internal/event", "database/sql", true},
		{"monterey/internal/rollup", "os", true},
		{"monterey/internal/event", "monterey/internal/store/sqlite", true},
		{"monterey/internal/httpapi", "monterey/internal/store/sqlite", true},
		{"monterey/internal/store/sqlite", "monterey/internal/httpapi", true},
		{"monterey/internal/store/sqlite", "monterey/internal/store/postgres", true},
		{"monterey/internal/store/postgres", "monterey/internal/store/sqlite", true},
		{"monterey/internal/httpapi", "monterey/internal/store/postgres", true},
		{"monterey/internal/ingest", "github.com/jackc/pgx/v5/pgxpool", true},
		{"monterey/internal/store/storetest", "monterey/internal/store/postgres", true},
		{"monterey/internal/store/sqlite", "monterey/internal/rollup", false},
		{"monterey/internal/ingest", "monterey/internal/store/sqlite", true},
		{"monterey/internal/auth", "modernc.org/sqlite", true},
		{"monterey/cmd/monterey", "monterey/internal/store/sqlite", false},
		{"monterey/internal/campaigner/campaignersim", "monterey/internal/campaigner", false},
	} {
		got := len(forbidden(listed{ImportPath: c.from, Imports: []string{c.to}})) > 0
		if got != c.bad {
			t.Errorf("%s → %s: forbidden is %v, want %v", c.from, c.to, got, c.bad)
		}
	}
}

func forbidden(p listed) (wrong []string) {
	l := layerOf(short(p.ImportPath))
	if l == nil {
		return nil
	}
	for _, path := range p.Imports {
		name, ours := short(path), strings.HasPrefix(path, "monterey/")
		switch {
		case !ours && within(path, l.outside):
			wrong = append(wrong, path)
		case ours && !slices.Contains(l.may, "*") && !within(name, l.may):
			wrong = append(wrong, path)
		case ours && within(name, drivers) && !slices.Contains(l.may, "*"):
			wrong = append(wrong, path) // only cmd and tests name a driver
		}
	}
	return wrong
}

// layerOf finds the layer whose prefix fits best.
func layerOf(name string) (best *layer) {
	longest := -1
	for i, l := range layers {
		for _, prefix := range l.in {
			if within(name, []string{prefix}) && len(prefix) > longest {
				best, longest = &layers[i], len(prefix)
			}
		}
	}
	return best
}

func within(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return name == p || strings.HasPrefix(name, p+"/") })
}

func short(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, "monterey/"), "internal/")
}

func goList(t *testing.T) (ours []listed) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Imports", "monterey/...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return ours
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(p.ImportPath, "monterey/") {
			ours = append(ours, p)
		}
	}
}
