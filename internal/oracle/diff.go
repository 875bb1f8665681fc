package oracle

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Diff names every field that is wanted and that got lacks or has otherwise; nothing else of got matters. Rates agree
// within 1e-12; times agree where they are the same instant in UTC; all else is equal or not.
func Diff(want, got map[string]any) []string { return diff("", want, got) }

func diff(path string, want, got any) []string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: want an object, got %v", path, got)}
		}
		var bad []string
		for _, k := range sorted(w) {
			at := strings.TrimPrefix(path+"."+k, ".")
			if v, ok := g[k]; !ok {
				bad = append(bad, fmt.Sprintf("%s: want %v, got no such field", at, w[k]))
			} else {
				bad = append(bad, diff(at, w[k], v)...)
			}
		}
		return bad
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return []string{fmt.Sprintf("%s: want %d items, got %d (%T)", path, len(w), len(g), got)}
		}
		var bad []string
		for i := range w {
			bad = append(bad, diff(fmt.Sprintf("%s[%d]", path, i), w[i], g[i])...)
		}
		return bad
	}
	if same(path, want, got) {
		return nil
	}
	return []string{fmt.Sprintf("%s: want %v, got %v", path, want, got)}
}

func same(path string, want, got any) bool {
	if want == got {
		return true
	}
	switch w := want.(type) {
	case float64:
		g, ok := got.(float64)
		return ok && strings.HasSuffix(path, "_rate") && math.Abs(w-g) <= 1e-12
	case string:
		g, ok := got.(string)
		return ok && strings.HasSuffix(g, "Z") && sameTime(w, g)
	}
	return false
}

func sameTime(a, b string) bool {
	at, errA := time.Parse(time.RFC3339, a)
	bt, errB := time.Parse(time.RFC3339, b)
	return errA == nil && errB == nil && at.Equal(bt)
}
