package bounce

import "testing"

func TestClassOf(t *testing.T) {
	tests := []struct {
		bounceType, origin, status string
		contactBounced             bool
		want                       Class
	}{
		{bounceType: "Hard", want: Hard},
		{bounceType: "HardBounce", want: Hard},
		{bounceType: "hard_bounced", want: Hard},
		{bounceType: "SOFT", want: Soft},
		{bounceType: "Soft Bounce", want: Soft},
		{bounceType: "Soft", contactBounced: true, want: Soft},
		{bounceType: "Hard", origin: "/Bounces/Soft", status: "Soft Bounced", want: Hard},
		{bounceType: "NDR", contactBounced: true, origin: "/Soft", want: Hard},
		{contactBounced: true, status: "Soft Bounced", want: Hard},
		{bounceType: "Blocked", origin: "/Bounces/Soft", status: "Hard Bounced", want: Soft},
		{origin: "/Bounces/Hard", status: "Soft Bounced", want: Hard},
		{origin: "/Bounces", status: "Hard Bounced", want: Hard},
		{status: "soft-bounced", want: Soft},
		{status: "Active", want: Unknown},
		{bounceType: "hard or soft", want: Unknown},
		{want: Unknown},
	}
	for _, tt := range tests {
		if got := ClassOf(tt.bounceType, tt.origin, tt.status, tt.contactBounced); got != tt.want {
			t.Errorf("ClassOf(%q, %q, %q, %v) = %v, want %v", tt.bounceType, tt.origin, tt.status, tt.contactBounced, got, tt.want)
		}
	}
}
