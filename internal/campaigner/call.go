package campaigner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// afterAttempts is the least that a caller should wait once all attempts of a call have failed.
const afterAttempts = time.Minute

// answer is what a call that went well brought.
type answer struct {
	body []byte
	date time.Time // the provider's clock; zero where it did not say
}

// call asks until read can make something of the answer or there is no use in asking again.
func call[T any](ctx context.Context, c *Client, path string, query url.Values, read func(answer) (T, error)) (T, error) {
	var none T
	wait := &backoff.ExponentialBackOff{InitialInterval: time.Second, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: 20 * time.Second}
	for attempt := 1; ; attempt++ {
		a, err := c.try(ctx, path, query)
		if err == nil {
			var v T
			if v, err = read(a); err == nil {
				return v, nil
			}
		}
		if e, ok := errors.AsType[*Error](err); ok {
			e.Path = path
			return none, e
		}
		failed, ok := errors.AsType[*passing](err)
		if !ok {
			return none, err
		}
		pause := max(wait.NextBackOff(), failed.after)
		if attempt >= c.config.Attempts {
			pause = max(pause, afterAttempts)
		}
		if attempt >= c.config.Attempts || pause > c.config.MaxWait {
			return none, &LaterError{After: pause, Cause: "campaigner: GET " + path + ": " + failed.text}
		}
		if err := c.config.Sleep(ctx, pause); err != nil {
			return none, fmt.Errorf("campaigner: GET %s: %w", path, err)
		}
	}
}

// try asks once, when it is its turn.
func (c *Client) try(ctx context.Context, path string, query url.Values) (answer, error) {
	release, err := c.config.Limit.acquire(ctx, c.config.Now, c.config.Sleep, c.config.MaxWait)
	if err != nil {
		if _, ok := errors.AsType[*LaterError](err); ok {
			return answer{}, err
		}
		return answer{}, fmt.Errorf("campaigner: GET %s: %w", path, err)
	}
	defer release()
	attempt, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	address := c.config.BaseURL + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(attempt, http.MethodGet, address, nil)
	if err != nil {
		return answer{}, &Error{Message: "the address cannot be asked"}
	}
	req.Header = http.Header{"ApiKey": {string(c.config.APIKey)}, "Accept": {"application/json"}, "User-Agent": {"monterey"}}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, c.networkError(ctx, path, "no answer", err)
	}
	defer func() { _ = res.Body.Close() }() // it was read as far as it is of use
	return c.receive(ctx, path, res)
}

// networkError tells the end of ctx from what may pass and from an address that must not be dialled.
func (c *Client) networkError(ctx context.Context, path, what string, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("campaigner: GET %s: %w", path, ctx.Err())
	case errors.Is(err, errNotPublic):
		return &Error{Message: errNotPublic.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return &passing{text: fmt.Sprintf("%s within %s", what, c.config.Timeout)}
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the address and its query
	}
	return &passing{text: what + ": " + c.config.APIKey.clean(err.Error())}
}

// receive reads an answer of any status.
func (c *Client) receive(ctx context.Context, path string, res *http.Response) (answer, error) {
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return answer{}, c.refusal(res)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, c.config.MaxBody+1))
	switch {
	case int64(len(body)) > c.config.MaxBody:
		return answer{}, &Error{Status: res.StatusCode, Message: fmt.Sprintf("the answer is larger than %d bytes; smaller pages may do", c.config.MaxBody)}
	case err != nil:
		return answer{}, c.networkError(ctx, path, "the answer was cut off", err)
	case len(body) > 0 && !mayBeJSON(res.Header.Get("Content-Type")):
		kind := c.config.APIKey.clean(res.Header.Get("Content-Type"))
		return answer{}, &Error{Status: res.StatusCode, Message: "the answer is " + kind + ", not JSON; is the base URL right?"}
	}
	return answer{body: body, date: dateOf(res)}, nil
}

// mayBeJSON is false for what names another form of data. Text may be JSON that a server does not know as such.
func mayBeJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	kind, _, _ := mime.ParseMediaType(contentType) // the kind is told even if a parameter is wrong
	if kind == "" {
		kind = strings.ToLower(contentType)
	}
	return strings.Contains(kind, "json") || kind == "text/plain" || kind == "application/octet-stream"
}

// refusal is what a status other than 2xx means.
func (c *Client) refusal(res *http.Response) error {
	e := Error{Status: res.StatusCode}
	if res.StatusCode >= 300 && res.StatusCode <= 399 {
		e.Message = "a redirect, which is not followed; is the base URL right?"
		return &e
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // a refusal that is cut off is one all the same
	e.Code, e.Message = c.config.APIKey.explanation(res.Header.Get("Content-Type"), body)
	switch {
	case res.StatusCode == http.StatusTooManyRequests:
		after := c.retryAfter(res, e.Message)
		c.config.Limit.holdAll(res.Request.Context(), c.config.Now(), after)
		return &passing{text: e.reason(), after: after}
	case res.StatusCode == http.StatusRequestTimeout, res.StatusCode >= 500:
		return &passing{text: e.reason(), after: c.retryAfter(res, "")}
	}
	return &e
}

// explanation is what the body of a refusal says: an object with ErrorCode and Message, or plain text.
func (k Key) explanation(contentType string, body []byte) (code, message string) {
	if value, err := wholeValue(body); err == nil && value[0] == '{' {
		r := row{fields: objectFields(value), key: k}
		return k.clean(r.label("ErrorCode")), k.clean(r.label("Message"))
	}
	if kind, _, _ := mime.ParseMediaType(contentType); kind == "text/plain" {
		return "", k.clean(string(body))
	}
	return "", ""
}
