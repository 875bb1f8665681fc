package delivery

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestResults(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		results := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Result {
			r := Result{Outcome: Outcome(rapid.IntRange(0, 3).Draw(t, "outcome"))}
			if r.Outcome == Inserted || r.Outcome == Duplicate {
				copy(r.Event.UUID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "event"))
			} else {
				r.Reason = rapid.String().Draw(t, "reason")
			}
			return r
		})).Draw(t, "results")
		b := EncodeResults(results)
		got, err := DecodeResults(b)
		if diff := cmp.Diff(results, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("error %v, got unlike encoded:\n%s", err, diff)
		}
	})
}

func FuzzResults(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{9})
	f.Add([]byte{resultsVersion, 2, 200})
	f.Add(EncodeResults([]Result{{}, {Outcome: Held, Reason: "x"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := DecodeResults(b)
		if err != nil {
			return
		}
		if again, err := DecodeResults(EncodeResults(got)); err != nil || !cmp.Equal(again, got, cmpopts.EquateEmpty()) {
			t.Errorf("%x: error %v, %v is not %v", b, err, again, got)
		}
	})
}
