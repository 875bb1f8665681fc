package campaigner

import (
	"errors"

	"monterey/internal/fault"
	"monterey/internal/task"
)

// Outcome turns what a call or a walk returned into what a task makes of it: to come again later, or to fail with a message
// that says why. Other errors pass unchanged.
func Outcome(err error) error {
	if later, ok := errors.AsType[*LaterError](err); ok {
		return &task.Later{After: later.After, Err: fault.Wrap(fault.Unavailable, err, "%s", later.Cause)}
	}
	if refused, ok := errors.AsType[*Error](err); ok {
		return fault.Wrap(fault.Data, err, "the provider refuses: %s: %s", refused.Path, refused.reason())
	}
	if part, ok := errors.AsType[*IncompleteError](err); ok {
		return fault.Wrap(fault.Data, err, "the provider's list cannot be read to its end: %v", part)
	}
	return err
}
