package rollup

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

const (
	countNames = `sent delivered delivered_source opens clicks unique_opens unique_clicks human_opens unique_human_opens human_clicks
		unique_human_clicks bounces hard_bounces soft_bounces unsubscribes complaints `
	statisticsNames = countNames + `campaign_id campaign_name provider_name provider_campaign_id date_from date_to basis
		first_event_at last_event_at as_of human_as_of rate_base delivery_rate open_rate human_open_rate click_rate
		human_click_rate click_to_open_rate bounce_rate unsubscribe_rate complaint_rate provider_reported `
)

// The names are those of the HTTP contract, and unknown numbers are there, as null.
func TestFieldNames(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{Statistics{}, statisticsNames},
		{Overview{}, statisticsNames + "distinct_openers distinct_clickers previous"},
		{Point{}, countNames + `bucket_start bucket_end partial new_unique_opens new_unique_clicks new_unique_human_opens
			new_unique_human_clicks`},
		{Series{}, "campaign_id granularity timezone week_start date_from date_to as_of truncated totals points"},
		{RateBase{}, "sent delivered"},
		{ProviderReported{}, "as_of sent delivered opens clicks unique_clicks hard_bounces soft_bounces complaints unsubscribes"},
		{Link{}, "link_id url clicks unique_clicks human_clicks unique_human_clicks first_click_at last_click_at"},
		{Domain{}, `domain recipients unique_opens unique_human_opens unique_clicks unique_human_clicks bounces hard_bounces
			soft_bounces unsubscribes complaints`},
	} {
		text, err := json.Marshal(c.v)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(c.want)
		slices.Sort(want)
		if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) {
			t.Errorf("%T has %v, want %v", c.v, names, want)
		}
	}
}

// Every number, name and time of the object can be sorted by; basis, the range and as_of are the same in all rows.
func TestSortFields(t *testing.T) {
	want := slices.DeleteFunc(strings.Fields(statisticsNames), func(name string) bool {
		return slices.Contains(strings.Fields("campaign_id delivered_source date_from date_to basis as_of human_as_of rate_base provider_reported"), name)
	})
	slices.Sort(want)
	if !slices.Equal(SortFields(), want) {
		t.Errorf("got %v, want %v", SortFields(), want)
	}
}
