// Package fault says what can go wrong in the domain's words: a code that decides the answer's status, a message that
// is safe to show to whoever asked, and a cause that only the log sees. It imports nothing of ours, so every package may
// return a fault and only internal/httpapi and cmd turn one into a status or an exit code.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Code is the kind of a fault; it is stable and shown to clients.
type Code string

// The kinds, with the HTTP status that each becomes.
const (
	Invalid      Code = "invalid"      // 422: the request was read and some of its fields are wrong
	Malformed    Code = "malformed"    // 400: the request could not be read at all
	Unauthorized Code = "unauthorized" // 401
	Forbidden    Code = "forbidden"    // 403
	NotFound     Code = "not_found"    // 404
	Conflict     Code = "conflict"     // 409
	TooLarge     Code = "too_large"    // 413
	Unavailable  Code = "unavailable"  // 503: the store cannot take or answer it now; trying again may work
	Data         Code = "data"         // an input that the store refuses for good (a constraint); never shown as such
	Taken        Code = "taken"        // another process is doing this, or has done it: look again what is left; never shown
	Internal     Code = "internal"     // 500
)

// Field is one wrong field of a request.
type Field struct {
	Loc  []string // where: ["query","granularity"], ["body","name"], ["path","id"], ["header","workspace_id"]
	Msg  string   // what is wrong and what would do
	Type string   // a stable kind, as "enum", "range", "unknown", "missing", "format"
	Line int64    // of a file that was sent, from 1; 0 = the field is in none
}

// Error is a fault. Message is safe to show; Err is not and may be nil.
type Error struct {
	Code       Code
	Message    string
	Fields     []Field
	RetryAfter time.Duration // for Unavailable; 0 = unknown
	Task       string        // of a Conflict: the id of the task that is in the way, if one is
	Err        error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.Err)
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// New makes a fault without a cause.
func New(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes a fault whose cause is err; the message alone is shown.
func Wrap(c Code, err error, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...), Err: err}
}

// Fields makes an Invalid fault of all the wrong fields, or nil when there are none.
func Fields(fields ...Field) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Code: Invalid, Message: "some fields are not valid", Fields: fields}
}

// CodeOf says which kind err is: Internal for every error that is no fault, "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return Internal
}

// Is says whether err is a fault of kind c.
func Is(err error, c Code) bool { return CodeOf(err) == c }
