package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

func text(o map[string]any, name string) string {
	s, _ := o[name].(string)
	return s
}

func items(t *testing.T, o map[string]any) (all []map[string]any) {
	t.Helper()
	list, ok := o["items"].([]any)
	if !ok {
		t.Fatalf("no items in %v", o)
	}
	for _, i := range list {
		all = append(all, i.(map[string]any))
	}
	return all
}

func TestWorkspaceAndKeys(t *testing.T) { onEach(t, testWorkspaceAndKeys) }

func testWorkspaceAndKeys(t *testing.T, c *cli) {
	ws := text(c.must("workspace", "create", "Acme", "--timezone", "Europe/Paris"), "id")
	if _, err := workspace.ParseID(ws); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data folder: %v, %v", info.Mode(), err)
	}
	spaces := items(t, c.must("workspace", "list"))
	if len(spaces) != 1 || text(spaces[0], "name") != "Acme" || text(spaces[0], "timezone") != "Europe/Paris" {
		t.Errorf("workspaces: %v", spaces)
	}

	made := c.must("key", "create", "--workspace", ws, "--name", "ci", "--role", "editor", "--expires", "2999-12-31")
	if _, ok := workspace.HashToken(text(made, "key")); !ok {
		t.Errorf("%q is no token", text(made, "key"))
	}
	admin := c.must("key", "create", "--platform-admin", "--name", "root")
	keys := items(t, c.must("key", "list"))
	if len(keys) != 2 {
		t.Fatalf("keys: %v", keys)
	}
	if keys[0]["platform_admin"] != true || text(keys[0], "id") != text(admin, "id") {
		t.Errorf("the platform's key: %v", keys[0])
	}
	if text(keys[1], "expires_at") != "3000-01-01T00:00:00Z" || text(keys[1], "role") != "editor" {
		t.Errorf("the workspace's key: %v", keys[1])
	}
	for _, id := range []string{text(made, "id"), text(admin, "id"), text(made, "id")} { // twice is no mistake
		c.must("key", "revoke", id)
	}
	for _, k := range items(t, c.must("key", "list")) {
		if text(k, "revoked_at") == "" {
			t.Errorf("not revoked: %v", k)
		}
	}
	if n := len(items(t, c.must("key", "list", "--workspace", ws))); n != 1 {
		t.Errorf("%d keys in the workspace, want 1", n)
	}
}

func TestDirectoryMistakes(t *testing.T) { onEach(t, testDirectoryMistakes) }

func testDirectoryMistakes(t *testing.T, c *cli) {
	ws := text(c.must("workspace", "create", "Acme"), "id")
	stranger := workspace.NewID().String()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, []byte(" \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"workspace", "create", "", "--timezone", "Mars"}, exitUsage, []string{"--name", "--timezone"}},
		{[]string{"key", "create", "--role", "boss", "--expires", "soon"}, exitUsage, []string{"--workspace", "--name", "--role", "--expires"}},
		{[]string{"key", "create", "--platform-admin", "--workspace", ws, "--name", "x"}, exitUsage, []string{"--platform-admin"}},
		{[]string{"key", "create", "--workspace", ws, "--name", "x", "--role", "viewer", "--expires", "2020-01-01"}, exitUsage, []string{"--expires"}},
		{[]string{"key", "create", "--workspace", stranger, "--name", "x", "--role", "viewer"}, exitFailed, []string{stranger}},
		{[]string{"key", "list", "--workspace", "x"}, exitUsage, []string{"--workspace"}},
		{[]string{"key", "revoke", stranger}, exitFailed, []string{stranger}},
		{[]string{"campaign", "create", "--workspace", "x", "--name", " ", "--provider-campaign-id", "1", "--provider", "acme"}, exitUsage,
			[]string{"--workspace", "--name", "--provider"}},
		{[]string{"campaign", "create", "--workspace", stranger, "--name", "n", "--provider-campaign-id", "1"}, exitFailed, []string{stranger}},
		{[]string{"campaign", "list", "--workspace", stranger}, exitFailed, []string{stranger}},
		{[]string{"connection", "set", "--workspace", "x", "--provider", "acme", "--base-url", "http://10.0.0.1", "--provider-timezone", "Mars",
			"--webhook-key-file", "-", "--api-key-file", "-"}, exitUsage, []string{"--workspace", "--provider", "--base-url", "--provider-timezone", "standard input"}},
		{[]string{"accounts", "set", "--workspace", "x", "--url-file", "/no/such", "--query-file", empty, "--schedule", "daily"}, exitUsage,
			[]string{"--workspace", "--url-file: open /no/such", "--query-file is needed", "--schedule"}},
		{[]string{"accounts", "set", "--workspace", ws, "--url-file", empty, "--query-file", "/no/such"}, exitUsage, []string{"--url-file must name a host", "--query-file: open /no/such"}},
		{[]string{"accounts", "set", "--workspace", ws, "--url-file", "-", "--query-file", "-", "--schedule", "60 * * * *"}, exitUsage, []string{"standard input", "--schedule"}},
		{[]string{"accounts", "unset", "--workspace", "x"}, exitUsage, []string{"--workspace"}},
		{[]string{"accounts", "unset", "--workspace", ws}, exitFailed, []string{"no such account source"}},
		{[]string{"accounts", "unset", "--workspace", stranger}, exitFailed, []string{stranger}},
		{[]string{"connection", "set", "--workspace", ws, "--provider", "campaigner", "--webhook-key-file", "/no/such"}, exitFailed, []string{"--webhook-key-file"}},
	} {
		t.Run(strings.Join(row.args, " "), func(t *testing.T) {
			c.t = t
			if code := c.run(append(row.args, "--json")...); code != row.code {
				t.Errorf("exit %d, want %d", code, row.code)
			}
			for _, want := range row.says {
				if !strings.Contains(c.errs.String(), want) {
					t.Errorf("nothing is said about %s:\n%s", want, c.errs.String())
				}
			}
			if c.out.Len() > 0 {
				t.Errorf("standard output has %q", c.out.String())
			}
		})
	}
}

func TestConnectionSet(t *testing.T) { onEach(t, testConnectionSet) }

func testConnectionSet(t *testing.T, c *cli) {
	ws := text(c.must("workspace", "create", "Acme"), "id")
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("hook-1\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := c.must("connection", "set", "--workspace", ws, "--provider", "campaigner", "--webhook-key-file", file)
	info, err := os.Stat(filepath.Join(c.dir, "secret.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret key's file: %v, %v", info, err)
	}
	c.in = "api-key\n"
	second := c.must("connection", "set", "--workspace", ws, "--provider", "campaigner", "--api-key-file", "-",
		"--base-url", "http://127.0.0.1:1/v1", "--provider-timezone", "America/New_York", "--allow-private-providers")
	if text(first, "id") != text(second, "id") {
		t.Errorf("setting twice made two connections: %v, %v", first, second)
	}
	other := text(c.must("workspace", "create", "Other"), "id")
	if code := c.run("connection", "set", "--workspace", other, "--provider", "campaigner", "--webhook-key-file", file); code != exitFailed {
		t.Errorf("a webhook key of another workspace was taken: exit %d", code)
	}
}

func TestAccountsSet(t *testing.T) { onEach(t, testAccountsSet) }

func testAccountsSet(t *testing.T, c *cli) {
	ws := text(c.must("workspace", "create", "Acme"), "id")
	query := filepath.Join(t.TempDir(), "query.sql")
	if err := os.WriteFile(query, []byte("SELECT number, email\nFROM accounts\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const password = "hunter2"
	set := func(url string, more ...string) map[string]any {
		t.Helper()
		c.in = url + "\n"
		return c.must(append([]string{"accounts", "set", "--workspace", ws, "--url-file", "-", "--query-file", query}, more...)...)
	}
	first := set("postgres://monterey:"+password+"@db.example.com:5433/crm?sslmode=verify-full", "--schedule", "0 3 * * *")
	if text(first, "source") != "postgres://db.example.com:5433/crm" || text(first, "schedule") != "0 3 * * *" || text(first, "workspace_id") != ws {
		t.Errorf("set: %v", first)
	}
	second := set("sqlserver://sa:" + password + "@db2.example.com?database=crm")
	if text(second, "source") != "sqlserver://db2.example.com" || second["schedule"] != "" {
		t.Errorf("set again: %v", second)
	}
	if said := c.out.String() + c.errs.String(); strings.Contains(said, password) {
		t.Errorf("the password is shown:\n%s", said)
	}
	for _, url := range []string{"postgres://u:" + password + "@h:x/d", "mysql://u:" + password + "@h/d", password} {
		c.in = url
		if code := c.run("accounts", "set", "--workspace", ws, "--url-file", "-", "--query-file", query); code != exitUsage || !strings.Contains(c.errs.String(), "--url-file ") ||
			strings.Contains(c.errs.String(), password) {
			t.Errorf("%s: exit %d: %s", url, code, c.errs.String())
		}
	}

	p := &program{common: &commonSettings{DataDir: c.dir, Database: c.env["MONTEREY_DATABASE"]}, now: time.Now}
	keys, err := p.common.openKeys()
	if err != nil {
		t.Fatal(err)
	}
	store, err := p.openStore(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	id, err := workspace.ParseID(ws)
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.GetSource(t.Context(), workspace.System(id))
	url, openErr := keys.Open(got.URL)
	if err != nil || openErr != nil || url != "sqlserver://sa:"+password+"@db2.example.com?database=crm" || got.Query != "SELECT number, email\nFROM accounts" || got.Schedule != "" {
		t.Errorf("what is kept: %q, %+v, %v, %v", url, got, err, openErr)
	}
	c.must("accounts", "unset", "--workspace", ws)
	if _, err := store.GetSource(t.Context(), workspace.System(id)); !fault.Is(err, fault.NotFound) {
		t.Errorf("after unset: %v", err)
	}
}

func TestCampaignImport(t *testing.T) { onEach(t, testCampaignImport) }

func testCampaignImport(t *testing.T, c *cli) {
	ws := text(c.must("workspace", "create", "Acme"), "id")
	c.must("campaign", "create", "--workspace", ws, "--name", "Old name", "--provider-campaign-id", "7")
	c.in = "\ufeffprovider_campaign_id,name,tags\n7,New name,a; b\n8,\"Eight, too\",\n"
	if n := c.must("campaign", "import", "-", "--workspace", ws); n["created"] != 1.0 || n["updated"] != 1.0 {
		t.Errorf("first import: %v", n)
	}
	if n := c.must("campaign", "import", "-", "--workspace", ws); n["unchanged"] != 2.0 {
		t.Errorf("second import: %v", n)
	}
	names := map[string]string{}
	for _, i := range items(t, c.must("campaign", "list", "--workspace", ws)) {
		names[text(i, "provider_campaign_id")] = text(i, "name")
	}
	if len(names) != 2 || names["7"] != "New name" || names["8"] != "Eight, too" {
		t.Errorf("campaigns: %v", names)
	}

	c.in = "name,provider_campaign_id,provider_name\nNine,9,\n,10,\nTen,9,acme\nEleven,9,\n"
	if code := c.run("campaign", "import", "-", "--workspace", ws); code != exitUsage {
		t.Errorf("exit %d, want %d", code, exitUsage)
	}
	for _, want := range []string{"line 3", "line 4", "line 5", "stands twice"} {
		if !strings.Contains(c.errs.String(), want) {
			t.Errorf("nothing is said about %q:\n%s", want, c.errs.String())
		}
	}
	if n := len(items(t, c.must("campaign", "list", "--workspace", ws))); n != 2 {
		t.Errorf("a file with mistakes changed something: %d campaigns", n)
	}
}

func TestReadCampaignsRefuses(t *testing.T) {
	for _, text := range []string{"", "name\n", "name,provider_campaign_id,colour\n", "name,provider_campaign_id\na\n", "name,provider_campaign_id\n\"a,1\n"} {
		if rows, err := readCampaigns([]byte(text)); err == nil {
			t.Errorf("%q was read: %v", text, rows)
		}
	}
}

func TestParseExpiry(t *testing.T) {
	for in, want := range map[string]string{
		"2027-01-31": "2027-02-01T00:00:00Z", "2027-01-31T12:00:00+02:00": "2027-01-31T10:00:00Z", "2027-02-30": "", "tomorrow": "",
	} {
		got, err := parseExpiry(in)
		if want == "" && err == nil || want != "" && got.Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
}

func TestSecretKeyIsNotReplaced(t *testing.T) { onEach(t, testSecretKeyIsNotReplaced) }

func testSecretKeyIsNotReplaced(t *testing.T, c *cli) {
	c.in = "hook\n"
	ws := text(c.must("workspace", "create", "Acme"), "id")
	c.must("connection", "set", "--workspace", ws, "--provider", "campaigner", "--webhook-key-file", "-")
	if err := os.Remove(filepath.Join(c.dir, "secret.key")); err != nil {
		t.Fatal(err)
	}
	if code := c.run("connection", "set", "--workspace", ws, "--provider", "campaigner", "--webhook-key-file", "-"); code != exitFailed {
		t.Errorf("exit %d, want %d", code, exitFailed)
	}
	if !strings.Contains(c.errs.String(), "secret key") {
		t.Errorf("it says %q", c.errs.String())
	}
}
