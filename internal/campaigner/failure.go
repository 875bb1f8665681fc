package campaigner

import (
	"fmt"
	"strings"
	"time"
)

// Error is a refusal that asking again does not change. Its text is safe to show: it holds no key and no query.
type Error struct {
	Path    string // below the base URL, as "/Bounces/Hard"
	Status  int    // of HTTP; 0 where no answer came, as for an address that may not be dialled
	Code    string // the provider's ErrorCode, as written; "" = none
	Message string // the provider's, cleaned and cut, or ours; may be ""
}

func (e *Error) Error() string { return "campaigner: GET " + e.Path + ": " + e.reason() }

// reason is the text without the path.
func (e *Error) reason() string {
	var parts []string
	if e.Status != 0 {
		parts = append(parts, fmt.Sprintf("status %d", e.Status))
	}
	if e.Code != "" {
		parts = append(parts, "ErrorCode "+e.Code)
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	return strings.Join(parts, ": ")
}

// LaterError says that the provider cannot answer for now, and when to come again: the wait is longer than a call may
// sleep, or the attempts are used up. A job should end its step, keep its cursor and be woken again.
type LaterError struct {
	After time.Duration // from now on; never 0
	Cause string        // what went wrong last, safe to show
}

func (e *LaterError) Error() string {
	return fmt.Sprintf("%s; again in %s", e.Cause, e.After.Round(time.Second))
}

// IncompleteError says that the provider gives one page again and again where it counts more rows: pages cannot be had
// of this call, so its rest cannot be read. A larger page may hold it all.
type IncompleteError struct {
	Page  int   // the one that brought nothing new
	Read  int64 // rows
	Total int64 // that the provider counts; 0 = it does not say
}

func (e *IncompleteError) Error() string {
	of := "an unknown number"
	if e.Total > 0 {
		of = fmt.Sprint(e.Total)
	}
	return fmt.Sprintf("campaigner: page %d has the rows of the page before again; %d rows of %s were read", e.Page, e.Read, of)
}

// passing is a failure that may be gone at the next attempt. The cause is its text alone: errors of net/http quote what
// the other side has sent, so they are not carried on.
type passing struct {
	text  string
	after time.Duration // that the provider asked for; 0 = it did not
}

func (e *passing) Error() string { return e.text }
