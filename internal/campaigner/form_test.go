package campaigner

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"monterey/internal/delivery"
)

// Any objects, in any of the forms, decode to what each of them decodes to alone.
func TestFormsProperty(t *testing.T) {
	pool := []string{
		`{}`, `{"key":"k"}`, "{\r\n}", "{\"email\":\"\xff\"}", `{"type":"List Subscribe","a":[{},"}{"]}`,
		`{"key":"k","type":"Campaign Opened","email":"a@example.com","opened_at":1772359200,"campaign_id":7}`,
		`{"key":"l","type":"campaign_clicked","email":5,"clicked_on":"2026-03-01 10:00:00","url_id":"x"}`,
		`{"type":"Contact Bounced","email":"b@example.com","timestamp":"2026-03-01T10:00:00Z","reason":"\"550 5.1.1\" {"}`,
		`{"type":"Campaign Sent","campaign_id":"7","sent":12,"timestamp":"2026-03-01T10:00:00.5"}`,
	}
	rapid.Check(t, func(t *rapid.T) {
		objects := rapid.SliceOfN(rapid.SampledFrom(pool), 1, 12).Draw(t, "objects")
		space := rapid.SampledFrom([]string{"", " ", "\n", "\r\n", "\n\n\t", " \r\n \r\n"})
		join := func(open, comma, closing string) string {
			var b strings.Builder
			b.WriteString(rapid.SampledFrom([]string{"", "\ufeff"}).Draw(t, "mark") + space.Draw(t, "space") + open)
			for i, o := range objects {
				if i > 0 {
					b.WriteString(space.Draw(t, "space") + comma)
				}
				b.WriteString(space.Draw(t, "space") + o)
			}
			return b.String() + space.Draw(t, "space") + closing + space.Draw(t, "space")
		}
		var want []delivery.Object
		for _, o := range objects {
			want = append(want, Webhook{}.Decode([]byte(o), time.UTC, arrival)...)
		}
		for _, body := range []string{join("", "", ""), join("[", ",", "]")} {
			n, _, blanked, err := Webhook{}.Open([]byte(body))
			if err != nil || n != len(objects) {
				t.Fatalf("Open(%q) = %d objects, %v", body, n, err)
			}
			if d := cmp.Diff(want, Webhook{}.Decode(blanked, time.UTC, arrival)); d != "" {
				t.Fatalf("%q: -want +got\n%s", body, d)
			}
		}
	})
}
