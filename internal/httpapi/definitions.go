package httpapi

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"monterey/internal/page"
)

type definitionWire struct {
	Name    string  `json:"name" doc:"Field of the statistics object" example:"open_rate"`
	Kind    string  `json:"kind" enum:"count,distinct,rate" doc:"count: of events or mails; distinct: of recipients; rate: a fraction" example:"rate"`
	Formula *string `json:"formula" doc:"Of rates, in the names of the fields" example:"unique_opens / rate_base.delivered"`
	Meaning string  `json:"meaning" example:"Recipients who opened, of all mails delivered"`
}

// definitions of the statistics object's figures. "sent" and "delivered" in a formula are those of rate_base.
func definitions() []definitionWire {
	count := func(name, meaning string) definitionWire {
		return definitionWire{Name: name, Kind: "count", Meaning: meaning}
	}
	distinct := func(name, meaning string) definitionWire {
		return definitionWire{Name: name, Kind: "distinct", Meaning: meaning}
	}
	rate := func(name, formula, meaning string) definitionWire {
		return definitionWire{Name: name, Kind: "rate", Formula: &formula,
			Meaning: meaning + ". A fraction, never clipped; null when the denominator is null or 0"}
	}
	const unknown = "; null where no source that reports them has been read for the campaign"
	return []definitionWire{
		count("sent", "Mails sent: the sum of the known figures of the runs that started in the range (basis=send: of all runs). Who was mailed twice counts two; null if no run says so"),
		count("delivered", "Mails delivered: delivered events if the provider sends them, else the runs' figure, else sent - bounces, the last only where the whole of a send is counted. delivered_source says which"),
		count("opens", "Open events, every one"),
		count("clicks", "Click events, every one"),
		count("human_opens", "Open events without what a rule took for a machine; an estimate, in doubt human"),
		count("human_clicks", "Click events without what a rule took for a machine; an estimate, in doubt human"),
		distinct("unique_opens", "Distinct recipients who opened in the range"),
		distinct("unique_clicks", "Distinct recipients who clicked in the range"),
		distinct("unique_human_opens", "Distinct recipients with at least one open that no rule took for a machine's"),
		distinct("unique_human_clicks", "Distinct recipients with at least one click that no rule took for a machine's"),
		distinct("bounces", "Distinct recipients who bounced in any class that is known"+unknown),
		distinct("hard_bounces", "Distinct recipients who hard-bounced"+unknown),
		distinct("soft_bounces", "Distinct recipients who soft-bounced"+unknown),
		distinct("unsubscribes", "Distinct recipients who unsubscribed"+unknown),
		distinct("complaints", "Distinct recipients who complained"+unknown),
		distinct("distinct_openers", "Persons who opened, over all campaigns; only in the overview, whose uniques count (campaign, recipient) pairs"),
		distinct("distinct_clickers", "Persons who clicked, over all campaigns; only in the overview"),
		distinct("new_unique_opens", "Recipients whose first open in the campaign lies in the bucket; these add up over a series, uniques of buckets do not"),
		distinct("new_unique_clicks", "Recipients whose first click in the campaign lies in the bucket"),
		distinct("new_unique_human_opens", "Recipients whose first human open in the campaign lies in the bucket"),
		distinct("new_unique_human_clicks", "Recipients whose first human click in the campaign lies in the bucket"),
		rate("delivery_rate", "rate_base.delivered / rate_base.sent", "Mails delivered, of all mails sent"),
		rate("open_rate", "unique_opens / rate_base.delivered", "Recipients who opened, of all mails delivered"),
		rate("human_open_rate", "unique_human_opens / rate_base.delivered", "Recipients who opened themselves, of all mails delivered"),
		rate("click_rate", "unique_clicks / rate_base.delivered", "Recipients who clicked, of all mails delivered"),
		rate("human_click_rate", "unique_human_clicks / rate_base.delivered", "Recipients who clicked themselves, of all mails delivered"),
		rate("click_to_open_rate", "recipients who opened and clicked / unique_opens", "Recipients who opened and clicked, of those who opened"),
		rate("bounce_rate", "bounces / rate_base.sent", "Recipients who bounced, of all mails sent"),
		rate("unsubscribe_rate", "unsubscribes / rate_base.delivered", "Recipients who unsubscribed, of all mails delivered"),
		rate("complaint_rate", "complaints / rate_base.delivered", "Recipients who complained, of all mails delivered"),
		count("rate_base", "What rates are fractions of: sent and delivered of the campaign's runs that started before date_to (basis=send: of all), delivered derived from the bounces until then where need be"),
	}
}

func (a *api) definitions(context.Context, call, *struct{}) (ListOf[definitionWire], error) {
	all := definitions()
	same := func(d definitionWire) definitionWire { return d }
	return newList(page.Params{Number: 1, Size: len(all)}, page.Of[definitionWire]{Items: all, Total: int64(len(all))}, same), nil
}

// describeStatistics tells in the document what internal/rollup's types, which are answered as they are, cannot say of
// themselves.
func (a *api) describeStatistics() {
	meaning := map[string]string{
		"first_event_at": "Of the campaign, whatever the range", "last_event_at": "Of the campaign, whatever the range",
		"as_of": "Everything received before is counted", "human_as_of": "Machine rules that look at several events have been applied up to here",
		"partial": "The range cuts the bucket, which counts the range only", "bucket_end": "Of the whole calendar bucket, excluded",
		"truncated": "Only the last 10 000 buckets are here",
		"provider_reported": "The provider's own figures of the whole campaign, whatever the range, when synced; never mixed in. Of the " +
			"overview their sum: null unless all campaigns to which anything happened have been synced, and as_of is the oldest",
		"previous": "The same for the range of equal length just before; null unless both ends are given",
	}
	for _, d := range definitions() {
		meaning[d.Name] = d.Meaning
	}
	enums := map[string][]string{
		"basis": bases{}.choices(), "granularity": granularities{}.choices(), "week_start": weekStarts{}.choices(),
		"delivered_source": {"events", "runs", "derived", "mixed"}, "provider_name": {"campaigner"},
	}
	schemas := a.huma.OpenAPI().Components.Schemas.Map()
	for _, name := range []string{"Statistics", "Overview", "Total", "Series", "Point", "Domain", "Link", "ProviderReported"} {
		s := schemas[name]
		for _, field := range []string{"provider_reported", "previous"} {
			if s.Properties[field] != nil {
				orNull(s, field)
			}
		}
		for field, p := range s.Properties {
			if p.Description == "" {
				p.Description = meaning[field]
				if name == "ProviderReported" {
					p.Description = "As the provider counts it; null = unknown"
				}
				if name == "ProviderReported" && field == "as_of" {
					p.Description = "When the provider was asked"
				}
			}
			for _, v := range enums[field] {
				p.Enum = append(p.Enum, v)
			}
			if field == "campaign_id" {
				p.Format = "uuid"
			}
			if p.Type == huma.TypeNumber {
				p.Examples = []any{0.25}
			}
		}
	}
}
