package apptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Answer is an answer of the server, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Ask sends a request with the App's token and workspace. header is pairs of name and value that come in addition or
// instead ("" leaves one out). The error is of the connection alone: the server was gone, or cut the answer off.
func (a *App) Ask(method, path string, body []byte, header ...string) (Answer, error) {
	req, err := http.NewRequest(method, a.URL+path, bytes.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Authorization", "Bearer "+a.Token)
	req.Header["workspace_id"] = []string{a.Workspace} // as clients write it: Set would capitalise it
	for i := 0; i+1 < len(header); i += 2 {
		delete(req.Header, header[i])
		if header[i+1] != "" {
			req.Header[header[i]] = []string{header[i+1]}
		}
	}
	resp, err := a.Client.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return Answer{resp.StatusCode, resp.Header, text}, err
}

// Get reads a path that has to answer 200 into v. query is pairs of name and value.
func (a *App) Get(v any, path string, query ...string) {
	a.t.Helper()
	values := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		values.Add(query[i], query[i+1])
	}
	if len(values) > 0 {
		path += "?" + values.Encode()
	}
	got, err := a.Ask(http.MethodGet, path, nil)
	if err != nil {
		a.t.Fatalf("GET %s: %v", path, err)
	}
	if got.Status != http.StatusOK {
		a.t.Fatalf("GET %s: %d: %s", path, got.Status, got.Body)
	}
	if err := json.Unmarshal(got.Body, v); err != nil {
		a.t.Fatalf("GET %s: %v: %s", path, err, got.Body)
	}
}

// Post posts a body to the webhook and returns the answer's status and the delivery's id (with 202).
func (a *App) Post(body []byte, header ...string) (status int, delivery string, err error) {
	got, err := a.Ask(http.MethodPost, "/campaign-events/webhook", body, append([]string{"Authorization", "", "workspace_id", ""}, header...)...)
	if err != nil || got.Status != http.StatusAccepted {
		return got.Status, "", err
	}
	var accepted struct {
		DeliveryID string `json:"delivery_id"`
	}
	if err := json.Unmarshal(got.Body, &accepted); err != nil {
		return got.Status, "", err
	}
	return got.Status, accepted.DeliveryID, nil
}

// WaitCounted returns once no delivery is pending: all that was acknowledged before the call is in the numbers.
func (a *App) WaitCounted(limit time.Duration) {
	a.t.Helper()
	a.waitFor(limit, "deliveries are still pending", func() (bool, string) {
		var pending struct {
			Total int64 `json:"total"`
		}
		a.Get(&pending, "/webhook-deliveries/", "state", "pending", "page_size", "1")
		return pending.Total == 0, fmt.Sprint(pending.Total)
	})
}

// WaitReady returns once /readyz answers 200 (want = true) or stops doing so (want = false).
func (a *App) WaitReady(limit time.Duration, want bool) {
	a.t.Helper()
	a.waitFor(limit, fmt.Sprintf("/readyz is not %v", want), func() (bool, string) {
		got, err := a.Ask(http.MethodGet, "/readyz", nil)
		return err == nil && (got.Status == http.StatusOK) == want, fmt.Sprint(got.Status, " ", string(got.Body), err)
	})
}

// waitFor asks again and again until done says yes.
func (a *App) waitFor(limit time.Duration, what string, done func() (bool, string)) {
	a.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		ok, now := done()
		if ok {
			return
		}
		if time.Now().After(end) {
			a.t.Fatalf("after %s %s: %s", limit, what, now)
		}
	}
}
