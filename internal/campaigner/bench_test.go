package campaigner

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// click is a documented click, about 500 bytes: the usual webhook.
func click(b *testing.B) []byte {
	b.Helper()
	body, err := os.ReadFile("testdata/click.json")
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func BenchmarkOpen(b *testing.B) {
	one := click(b)
	for _, bench := range []struct {
		name string
		body []byte
	}{{"1", one}, {"1000", bytes.Repeat(one, 1000)}} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, _, err := (Webhook{}).Open(bench.body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	one := click(b)
	for _, bench := range []struct {
		name string
		body []byte
	}{{"1", one}, {"1000", bytes.Repeat(one, 1000)}} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.body)))
			b.ReportAllocs()
			for b.Loop() {
				if out := (Webhook{}).Decode(bench.body, time.UTC, arrival); out[0].Report == nil {
					b.Fatal(out[0])
				}
			}
		})
	}
}

// The yardstick: the standard decoder reading the same fields of the same body, and concluding nothing from them.
func BenchmarkStandardLibrary(b *testing.B) {
	one := click(b)
	b.SetBytes(int64(len(one)))
	b.ReportAllocs()
	for b.Loop() {
		var o struct {
			ID         json.RawMessage `json:"id"`
			Key        string          `json:"key"`
			Type       string          `json:"type"`
			Email      string          `json:"email"`
			ClickedOn  string          `json:"clicked_on"`
			CampaignID json.RawMessage `json:"campaign_id"`
			ClickURL   string          `json:"click_url"`
			URLID      json.RawMessage `json:"url_id"`
			IP         string          `json:"ip"`
		}
		if err := json.Unmarshal(one, &o); err != nil {
			b.Fatal(err)
		}
	}
}
