package bounce

import "testing"

func TestOver(t *testing.T) {
	full := Historical{ProviderEventID: "1", Address: "a@example.com", Class: Hard, Status: "Hard Bounced",
		Detail: Detail{SMTPCode: 550, EnhancedCode: "5.1.1", Label: "Hard", Reason: "550 5.1.1 no such user", Code: "10"}}
	other := Historical{ProviderEventID: "1", Address: "b@example.com", Class: Soft, Status: "Active",
		Detail: Detail{SMTPCode: 452, EnhancedCode: "4.2.2", Label: "Soft", Reason: "452 4.2.2 full", Code: "60"}}
	none := Historical{ProviderEventID: "1", Address: "a@example.com", Class: Unknown}
	with := func(h Historical, f func(*Historical)) Historical {
		f(&h)
		return h
	}
	for _, tt := range []struct {
		what            string
		h, before, want Historical
	}{
		{"the same", full, full, full},
		{"everything else", other, full, other},
		{"nothing over something", none, full, full},
		{"something over nothing", full, none, full},
		{"an address alone", with(none, func(h *Historical) { h.Address = "b@example.com" }), full, with(full, func(h *Historical) { h.Address = "b@example.com" })},
		{"another class alone", with(none, func(h *Historical) { h.Class = Soft }), full, with(full, func(h *Historical) { h.Class = Soft })},
		{"a reason without codes", with(none, func(h *Historical) { h.Detail.Reason = "no" }), full,
			with(full, func(h *Historical) { h.Detail = Detail{Label: "Hard", Reason: "no", Code: "10"} })},
		{"codes without a reason", with(none, func(h *Historical) { h.Detail.SMTPCode, h.Detail.EnhancedCode = 421, "4.0.0" }), full,
			with(full, func(h *Historical) { h.Detail.SMTPCode, h.Detail.EnhancedCode = 421, "4.0.0" })},
	} {
		if got := tt.h.Over(tt.before); got.Address != tt.want.Address || got.Class != tt.want.Class || got.Detail != tt.want.Detail || got.Status != tt.want.Status {
			t.Errorf("%s:\n%+v\nover\n%+v\nis\n%+v, want\n%+v", tt.what, tt.h, tt.before, got, tt.want)
		}
	}
}
