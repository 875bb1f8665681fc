package apptest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"monterey/internal/apptest"
)

// site is a running server with one workspace. The test is the one that asks at the moment.
type site struct {
	*testing.T
	app *apptest.App
}

// try sends a request and reads the answer.
func (s *site) try(method, path string, q url.Values, body any) (int, map[string]any) {
	s.Helper()
	var payload []byte
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.Fatal(err)
		}
		payload = b
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	got, err := s.app.Ask(method, path, payload, "Content-Type", "application/json")
	if err != nil {
		s.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(got.Body, &answer); err != nil {
		s.Fatalf("%s %s: %d %q: %v", method, path, got.Status, got.Body, err)
	}
	return got.Status, answer
}

// get fails the test unless the answer is 200.
func (s *site) get(path string, q url.Values) map[string]any {
	s.Helper()
	code, answer := s.try("GET", path, q, nil)
	if code != http.StatusOK {
		s.Fatalf("GET %s?%s: %d %v", path, q.Encode(), code, answer)
	}
	return answer
}

// rows are the items of an answer.
func (s *site) rows(answer map[string]any) []map[string]any {
	s.Helper()
	items, ok := answer["items"].([]any)
	if !ok {
		s.Fatalf("no items in %v", answer)
	}
	rows := make([]map[string]any, len(items))
	for i, it := range items {
		rows[i] = it.(map[string]any)
	}
	return rows
}

// pages walks a list to its end, by page or by cursor, and checks that each answer says the same exact total.
func (s *site) pages(path string, q url.Values, size int, byCursor bool) (all []map[string]any) {
	s.Helper()
	q = clone(q)
	q.Set("page_size", fmt.Sprint(size))
	for n := 1; ; n++ {
		answer := s.get(path, q)
		rows := s.rows(answer)
		all = append(all, rows...)
		total, _ := answer["total"].(float64)
		cursor, more := answer["next_cursor"].(string)
		if byCursor && !more || !byCursor && len(rows) < size {
			if int(total) != len(all) {
				s.Errorf("%s?%s: the total is %v, but %d came", path, q.Encode(), answer["total"], len(all))
			}
			return all
		}
		if len(rows) == 0 || n > 10_000 {
			s.Fatalf("%s?%s: page %d does not end", path, q.Encode(), n)
		}
		if byCursor {
			q.Set("cursor", cursor)
		} else {
			q.Set("page", fmt.Sprint(n+1))
		}
	}
}

// post sends a webhook body and gives the time it was received.
func (s *site) post(body []byte, packed bool) (time.Time, error) {
	header := []string{"Authorization", "", "workspace_id", ""}
	if packed {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write(body); err != nil {
			return time.Time{}, err
		}
		if err := z.Close(); err != nil {
			return time.Time{}, err
		}
		body, header = b.Bytes(), append(header, "Content-Encoding", "gzip")
	}
	got, err := s.app.Ask("POST", "/campaign-events/webhook", body, header...)
	if err != nil {
		return time.Time{}, err
	}
	var answer struct {
		ReceivedAt time.Time `json:"received_at"`
	}
	if err := json.Unmarshal(got.Body, &answer); err != nil || got.Status != http.StatusAccepted || answer.ReceivedAt.IsZero() {
		return time.Time{}, fmt.Errorf("the webhook answered %d: %s", got.Status, got.Body)
	}
	return answer.ReceivedAt, nil
}

func clone(q url.Values) url.Values {
	c := url.Values{}
	for k, v := range q {
		c[k] = append([]string(nil), v...)
	}
	return c
}
