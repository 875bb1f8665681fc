package campaigner

import (
	"bytes"
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
