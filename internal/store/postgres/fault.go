package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"monterey/internal/fault"
)

// SQLSTATE codes that are told apart.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	undefinedTable       = "42P01"
	uniqueViolation      = "23505"
	checkViolation       = "23514"
	lockNotAvailable     = "55P03"
)

// errLost is the loss of a connection.
var errLost = errors.New("the connection was lost")

// code is the SQLSTATE of an error, "" where the server said none.
func code(err error) string {
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pe.Code
	}
	return ""
}

// translate turns the driver's errors into faults, by SQLSTATE. Only what the data itself is to blame for is a Conflict (a
// constraint) or Data (a value that cannot be stored); all else that the server or the network says is Unavailable. Faults and
// nil pass unchanged.
func translate(what string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.Wrap(fault.NotFound, err, "there is no such thing here")
	}
	if c := code(err); c != "" {
		switch {
		case c == checkViolation: // the schema has no checks but the bounds of partitions: a month is missing
		case c[:2] == "23": // integrity constraint violation
			return fault.Wrap(fault.Conflict, err, "this exists already")
		case c[:2] == "22", c[:2] == "54": // data exception; program limit exceeded, as by a key too long for an index
			return fault.Wrap(fault.Data, err, "the store cannot keep this value")
		}
		return unavailable(what, err)
	}
	if disturbed(err) {
		return unavailable(what, err)
	}
	return fmt.Errorf("postgres: %s: %w", what, err)
}

func unavailable(what string, err error) error {
	return &fault.Error{Code: fault.Unavailable, Message: "the database cannot be used at the moment", RetryAfter: 2 * time.Second, Err: fmt.Errorf("postgres: %s: %w", what, err)}
}

// disturbed says whether an error is the network's, the pool's or of time running out.
func disturbed(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	for _, is := range []error{errLost, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, context.Canceled, context.DeadlineExceeded, pgx.ErrTxCommitRollback} {
		if errors.Is(err, is) {
			return true
		}
	}
	return pgconn.Timeout(err) || pgconn.SafeToRetry(err)
}
