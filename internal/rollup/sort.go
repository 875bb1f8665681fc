package rollup

import (
	"maps"
	"slices"
	"time"
)

// SortFields are the fields that a list may be sorted by.
func SortFields() []string { return slices.Sorted(maps.Keys(sortKeys())) }

func sortKeys() map[string]func(*Statistics) sortKey {
	count := func(n int64) sortKey { return sortKey{number: float64(n)} }
	known := func(n *int64) sortKey {
		if n == nil {
			return sortKey{null: true}
		}
		return count(*n)
	}
	fraction := func(f *float64) sortKey {
		if f == nil {
			return sortKey{null: true}
		}
		return sortKey{number: *f}
	}
	text := func(s *string) sortKey {
		if s == nil {
			return sortKey{null: true}
		}
		return sortKey{text: *s}
	}
	at := func(t *time.Time) sortKey {
		if t == nil {
			return sortKey{null: true}
		}
		return count(t.Unix())
	}
	return map[string]func(*Statistics) sortKey{
		"campaign_name":        func(s *Statistics) sortKey { return text(s.CampaignName) },
		"provider_name":        func(s *Statistics) sortKey { return sortKey{text: string(*s.ProviderName)} },
		"provider_campaign_id": func(s *Statistics) sortKey { return text(s.ProviderCampaignID) },
		"first_event_at":       func(s *Statistics) sortKey { return at(s.FirstEventAt) },
		"last_event_at":        func(s *Statistics) sortKey { return at(s.LastEventAt) },
		"sent":                 func(s *Statistics) sortKey { return known(s.Sent) },
		"delivered":            func(s *Statistics) sortKey { return known(s.Delivered) },
		"opens":                func(s *Statistics) sortKey { return count(s.Opens) },
		"clicks":               func(s *Statistics) sortKey { return count(s.Clicks) },
		"unique_opens":         func(s *Statistics) sortKey { return count(s.UniqueOpens) },
		"unique_clicks":        func(s *Statistics) sortKey { return count(s.UniqueClicks) },
		"human_opens":          func(s *Statistics) sortKey { return count(s.HumanOpens) },
		"unique_human_opens":   func(s *Statistics) sortKey { return count(s.UniqueHumanOpens) },
		"human_clicks":         func(s *Statistics) sortKey { return count(s.HumanClicks) },
		"unique_human_clicks":  func(s *Statistics) sortKey { return count(s.UniqueHumanClicks) },
		"bounces":              func(s *Statistics) sortKey { return known(s.Bounces) },
		"hard_bounces":         func(s *Statistics) sortKey { return known(s.HardBounces) },
		"soft_bounces":         func(s *Statistics) sortKey { return known(s.SoftBounces) },
		"unsubscribes":         func(s *Statistics) sortKey { return known(s.Unsubscribes) },
		"complaints":           func(s *Statistics) sortKey { return known(s.Complaints) },
		"delivery_rate":        func(s *Statistics) sortKey { return fraction(s.DeliveryRate) },
		"open_rate":            func(s *Statistics) sortKey { return fraction(s.OpenRate) },
		"human_open_rate":      func(s *Statistics) sortKey { return fraction(s.HumanOpenRate) },
		"click_rate":           func(s *Statistics) sortKey { return fraction(s.ClickRate) },
		"human_click_rate":     func(s *Statistics) sortKey { return fraction(s.HumanClickRate) },
		"click_to_open_rate":   func(s *Statistics) sortKey { return fraction(s.ClickToOpenRate) },
		"bounce_rate":          func(s *Statistics) sortKey { return fraction(s.BounceRate) },
		"unsubscribe_rate":     func(s *Statistics) sortKey { return fraction(s.UnsubscribeRate) },
		"complaint_rate":       func(s *Statistics) sortKey { return fraction(s.ComplaintRate) },
	}
}
