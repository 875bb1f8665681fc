package oracle

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// What must hold in every world, whatever is counted in it.
func TestRandomWorlds(t *testing.T) {
	var machines, humans, doubled int
	for seed := range uint64(60) {
		rng := rngOf(seed)
		w := Random(rng, 150)
		if !reflect.DeepEqual(w, Random(rngOf(seed), 150)) {
			t.Fatal("the same seed made another world")
		}
		o := New(w)
		doubled += o.Received() - o.Inserted() - w.Ignored
		for _, c := range o.Campaigns() {
			total := o.Statistics(c, nil, nil)
			if total["opens"] == 0.0 && total["clicks"] == 0.0 {
				continue
			}
			humans += int(total["human_clicks"].(float64))
			machines += int(total["clicks"].(float64) - total["human_clicks"].(float64))
			s, ok := o.Series(SeriesParams{Campaign: c, Granularity: "day", Zone: RandomZone(rng, "day"), AsOf: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix()})
			if !ok {
				t.Fatal("refused")
			}
			sums, end := map[string]float64{}, ""
			for _, p := range s["points"].([]any) {
				point := p.(map[string]any)
				for f, v := range point {
					if n, ok := v.(float64); ok {
						sums[f] += n
					}
				}
				if end != "" && end != point["bucket_start"] {
					t.Fatalf("seed %d: a bucket begins at %v, the one before ended at %s", seed, point["bucket_start"], end)
				}
				end = point["bucket_end"].(string)
			}
			for _, f := range []string{"opens", "human_opens", "clicks", "human_clicks"} {
				if sums[f] != total[f] {
					t.Errorf("seed %d: %s of the points add up to %v, want %v", seed, f, sums[f], total[f])
				}
			}
			for _, f := range []string{"unique_opens", "unique_clicks", "unique_human_opens", "unique_human_clicks"} {
				if sums["new_"+f] != total[f] {
					t.Errorf("seed %d: new_%s add up to %v, want %v", seed, f, sums["new_"+f], total[f])
				}
			}
		}
	}
	if machines < 100 || humans < 100 || doubled < 100 {
		t.Errorf("the worlds are too tame: %d machine clicks, %d human, %d doubled", machines, humans, doubled)
	}
}

func TestWebhooks(t *testing.T) {
	kinds, timeForms := map[string]bool{}, map[string]bool{}
	for seed := range uint64(20) {
		rng := rngOf(seed)
		w := Random(rng, 200)
		objects := Webhooks(w, rng)
		if n := New(w).Received(); len(objects) < n || len(objects) > 2*n {
			t.Fatalf("%d objects for %d reports", len(objects), n)
		}
		total := 0
		for _, body := range Bodies(objects, "se\"cret", rng) {
			for _, object := range unpack(t, body) {
				total++
				var m map[string]any
				if err := json.Unmarshal(object, &m); err != nil {
					t.Fatalf("%s: %v", object, err)
				}
				if m["key"] != "se\"cret" {
					t.Fatalf("no key in %s", object)
				}
				kinds[m["type"].(string)] = true
				timeForms[form(m["timestamp"])] = true
			}
		}
		if total != len(objects) {
			t.Fatalf("the bodies have %d objects, want %d", total, len(objects))
		}
	}
	if len(kinds) < 20 || len(timeForms) < 5 {
		t.Errorf("few forms: types %v, times %v", kinds, timeForms)
	}
}

// Every form of a time is read back as the second that was written, by the standard library's reader.
func TestTimeForms(t *testing.T) {
	f := former{rngOf(1)}
	const at = 1743296399 // 2025-03-30T00:59:59Z
	for range 2000 {
		switch v := f.time(at).(type) {
		case int64:
			if v != at && v/1000 != at {
				t.Fatalf("%d", v)
			}
		case string:
			layout := "2006-01-02" + v[10:11] + "15:04:05"
			if form(v) != "local" {
				layout += "Z07:00"
			}
			got, err := time.Parse(layout, v)
			if err != nil || got.Unix() != at {
				t.Fatalf("%q is %v, %v", v, got, err)
			}
		}
	}
}

func form(v any) string {
	s, ok := v.(string)
	switch {
	case !ok:
		if v.(float64) > 1e11 {
			return "milliseconds"
		}
		return "seconds"
	case s[len(s)-1] == 'Z':
		return "Z"
	case len(s) > 19 && (s[len(s)-6] == '+' || s[len(s)-6] == '-'):
		return "offset"
	}
	return "local"
}

func unpack(t *testing.T, body []byte) (objects []json.RawMessage) {
	t.Helper()
	if body[0] == '[' {
		if err := json.Unmarshal(body, &objects); err != nil {
			t.Fatal(err)
		}
		return objects
	}
	for _, line := range bytes.Split(body, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			objects = append(objects, line)
		}
	}
	return objects
}
