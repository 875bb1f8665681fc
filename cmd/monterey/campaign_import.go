package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

type campaignImport struct {
	File      string `arg:"" help:"CSV with the columns name and provider_campaign_id, and if wanted provider_name, status and tags (joined with ;). - is standard input."`
	Workspace string `required:"" help:"The workspace." placeholder:"ID"`
}

// importCount says what an import did.
type importCount struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Unchanged int `json:"unchanged"`
}

// Run may be called again with the same file: campaigns are found by the provider's id. With mistakes in the file nothing
// is changed.
func (c *campaignImport) Run(ctx context.Context, p *program) error {
	ws, err := p.workspaceFlag(c.Workspace)
	if err != nil {
		return err
	}
	text, err := p.readInput(c.File)
	if err != nil {
		return err
	}
	rows, err := readCampaigns(text)
	if err != nil {
		return fmt.Errorf("%s: nothing was imported: %w", c.File, err)
	}
	store, err := p.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	if _, err := store.GetWorkspace(ctx, ws); err != nil {
		return fmt.Errorf("workspace %s: %w", ws, err)
	}
	n, err := importCampaigns(ctx, store, ws, rows, p.now().UTC())
	if err != nil {
		return fmt.Errorf("import stopped after %d campaigns; run it again to finish: %w", n.Created+n.Updated+n.Unchanged, err)
	}
	return p.result(n, fmt.Sprintf("%d created, %d updated, %d unchanged\n", n.Created, n.Updated, n.Unchanged))
}

// campaignRow is one line of the file. A nil field is a column that is not there: what it holds stays.
type campaignRow struct {
	campaign.Campaign
	hasStatus, hasTags bool
}

// readCampaigns reads the file; its mistakes are reported all at once, by line.
func readCampaigns(text []byte) ([]campaignRow, error) {
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	heading, err := r.Read()
	if err != nil {
		return nil, fault.New(fault.Invalid, "the first line must name the columns")
	}
	columns := map[string]int{}
	for i, name := range heading {
		columns[strings.ToLower(strings.TrimSpace(name))] = i
	}
	var wrong []fault.Field
	for name := range columns {
		if !slices.Contains([]string{"name", "provider_campaign_id", "provider_name", "status", "tags"}, name) {
			wrong = append(wrong, fault.Field{Loc: []string{"line 1"}, Msg: fmt.Sprintf("%q is not a column of this import", name), Type: "unknown"})
		}
	}
	for _, name := range []string{"name", "provider_campaign_id"} {
		if _, ok := columns[name]; !ok {
			wrong = append(wrong, fault.Field{Loc: []string{"line 1"}, Msg: "the column " + name + " is missing", Type: "missing"})
		}
	}
	if err := fault.Fields(wrong...); err != nil {
		return nil, err
	}
	return readCampaignLines(r, columns)
}

func readCampaignLines(r *csv.Reader, columns map[string]int) (rows []campaignRow, err error) {
	var wrong []fault.Field
	seen := map[string]bool{}
	for {
		record, err := r.Read()
		if err == io.EOF {
			return rows, fault.Fields(wrong...)
		}
		if err != nil {
			return nil, fault.Fields(append(wrong, fault.Field{Loc: []string{"file"}, Msg: err.Error(), Type: "format"})...)
		}
		row := campaignRowOf(record, columns)
		n, _ := r.FieldPos(0)
		line := []string{fmt.Sprintf("line %d", n)}
		if f, ok := row.Validate().(*fault.Error); ok {
			for _, bad := range f.Fields {
				wrong = append(wrong, fault.Field{Loc: line, Msg: bad.Loc[len(bad.Loc)-1] + " " + bad.Msg, Type: bad.Type})
			}
		}
		key := string(row.Provider) + "\x00" + row.ProviderCampaignID
		if seen[key] {
			wrong = append(wrong, fault.Field{Loc: line, Msg: "provider_campaign_id " + row.ProviderCampaignID + " stands twice in the file", Type: "duplicate"})
		}
		seen[key] = true
		rows = append(rows, row)
	}
}

func campaignRowOf(record []string, columns map[string]int) campaignRow {
	get := func(name string) (string, bool) {
		i, ok := columns[name]
		if !ok {
			return "", false
		}
		return strings.TrimSpace(record[i]), true
	}
	var row campaignRow
	row.Name, _ = get("name")
	row.ProviderCampaignID, _ = get("provider_campaign_id")
	row.Provider = provider.Campaigner
	if name, _ := get("provider_name"); name != "" {
		row.Provider = provider.Name(name)
	}
	row.Status, row.hasStatus = get("status")
	var tags string
	tags, row.hasTags = get("tags")
	for tag := range strings.SplitSeq(tags, ";") {
		if tag = strings.TrimSpace(tag); tag != "" {
			row.Tags = append(row.Tags, tag)
		}
	}
	return row
}

func importCampaigns(ctx context.Context, store campaign.Store, ws workspace.ID, rows []campaignRow, now time.Time) (n importCount, err error) {
	old, err := allCampaigns(ctx, store, ws, campaign.Filter{IncludeArchived: true})
	if err != nil {
		return n, err
	}
	type key struct {
		provider provider.Name
		id       string
	}
	known := make(map[key]campaign.Campaign, len(old))
	for _, cm := range old {
		known[key{cm.Provider, cm.ProviderCampaignID}] = cm
	}
	caller := workspace.System(ws)
	for _, row := range rows {
		cm, ok := known[key{row.Provider, row.ProviderCampaignID}]
		if !ok {
			cm = row.Campaign
			cm.ID, cm.Named, cm.CreatedAt, cm.UpdatedAt = campaign.NewID(), true, now, now
			if err := store.CreateCampaign(ctx, caller, cm); err != nil {
				return n, err
			}
			n.Created++
			continue
		}
		if !row.change(&cm) {
			n.Unchanged++
			continue
		}
		cm.UpdatedAt = now
		if err := store.UpdateCampaign(ctx, caller, cm); err != nil {
			return n, err
		}
		n.Updated++
	}
	return n, nil
}

// change puts what the row says into a campaign that is there already, and says whether anything changed.
func (r campaignRow) change(cm *campaign.Campaign) bool {
	changed := cm.Name != r.Name || cm.Discovered
	cm.Rename(r.Name)
	if r.hasStatus && cm.Status != r.Status {
		cm.Status, changed = r.Status, true
	}
	if r.hasTags && !slices.Equal(cm.Tags, r.Tags) {
		cm.Tags, changed = r.Tags, true
	}
	return changed
}
