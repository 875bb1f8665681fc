package httpapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"monterey/internal/fault"
)

// problem is an error as clients see it (RFC 9457).
type problem struct {
	Type      string         `json:"type" example:"about:blank"`
	Title     string         `json:"title" doc:"The status in words" example:"Unprocessable Entity"`
	Status    int            `json:"status" example:"422"`
	Detail    string         `json:"detail" doc:"What went wrong, for people" example:"some fields are not valid"`
	Code      string         `json:"code" doc:"What went wrong, for programs; stable" example:"invalid"`
	RequestID string         `json:"request_id" doc:"Names this request in the server's log" example:"7Q2MZ6V4K3N5"`
	TaskID    string         `json:"task_id,omitempty" doc:"With 409: the task that is in the way" example:"0198c5a2-6f3e-7b1c-9d2e-3f4a5b6c7d8e"`
	Errors    []problemField `json:"errors,omitempty" doc:"With 422: every bad field"`
}

type problemField struct {
	Loc  []string `json:"loc" doc:"Where the field is" example:"query,granularity"`
	Msg  string   `json:"msg" doc:"What is wrong with it" example:"must be hour, day, week or month"`
	Type string   `json:"type" doc:"The kind of mistake" example:"enum"`
	Line int64    `json:"line,omitempty" doc:"In a file that was sent: the line, from 1"`
}

var statusOf = map[fault.Code]int{
	fault.Invalid: http.StatusUnprocessableEntity, fault.Malformed: http.StatusBadRequest,
	fault.Unauthorized: http.StatusUnauthorized, fault.Forbidden: http.StatusForbidden, fault.NotFound: http.StatusNotFound,
	fault.Conflict: http.StatusConflict, fault.TooLarge: http.StatusRequestEntityTooLarge,
	fault.Unavailable: http.StatusServiceUnavailable, fault.Data: http.StatusUnprocessableEntity,
	fault.Internal: http.StatusInternalServerError,
}

// retryAfter is what a client is told to wait when the fault does not say.
const retryAfter = 2 * time.Second

// writeError answers with the problem document that err makes. It is the only place where an error becomes an answer.
// An error that is no fault shows nothing of itself; its cause goes to the log.
func writeError(w http.ResponseWriter, r *http.Request, log *slog.Logger, err error) {
	f, ok := errors.AsType[*fault.Error](err)
	if r.Context().Err() != nil && (!ok || f.Code == fault.Unavailable) {
		return // the client went away, which stopped the work: nobody reads an answer
	}
	if !ok || f.Code == fault.Internal || statusOf[f.Code] == 0 {
		log.ErrorContext(r.Context(), "request failed", "request_id", requestID(r), "method", r.Method, "path", r.URL.Path, "err", err)
		f = fault.New(fault.Internal, "internal error; the log knows it as request %s", requestID(r))
	}
	code, detail := f.Code, f.Message
	switch code {
	case fault.Data:
		code, detail = fault.Invalid, "the input cannot be stored"
	case fault.Unauthorized:
		w.Header().Set("WWW-Authenticate", challenge(r))
	case fault.Unavailable:
		log.WarnContext(r.Context(), "unavailable", "request_id", requestID(r), "path", r.URL.Path, "err", err)
		wait := f.RetryAfter
		if wait <= 0 {
			wait = retryAfter
		}
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	p := problem{Status: statusOf[f.Code], Detail: detail, Code: string(code), TaskID: f.Task}
	for _, b := range f.Fields {
		p.Errors = append(p.Errors, problemField(b))
	}
	writeProblem(w, r, p)
}

func challenge(r *http.Request) string {
	if r.Header.Get("Authorization") == "" {
		return `Bearer realm="monterey"`
	}
	return `Bearer realm="monterey", error="invalid_token"`
}

// writeProblem fills in what follows from the status and the request, and sends p.
func writeProblem(w http.ResponseWriter, r *http.Request, p problem) {
	p.Type, p.Title, p.RequestID = "about:blank", http.StatusText(p.Status), requestID(r)
	body, err := json.Marshal(p)
	if err != nil { // cannot happen: all of it are strings and numbers
		body = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client went away
}
