package directory

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	mssql "github.com/microsoft/go-mssqldb"

	"monterey/internal/fault"
)

// retryAfter is how long an outside database that cannot answer is left alone.
const retryAfter = time.Minute

// fault tells passing errors (Unavailable) from those that last until somebody does something (Invalid). What the database
// says is shown; what a driver says goes to the log alone.
func (s *Source) fault(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return s.answered(lasting(pg.Code), fmt.Sprintf("%s (SQLSTATE %s)", pg.Message, pg.Code), err)
	}
	if ms, ok := errors.AsType[mssql.Error](err); ok {
		return s.answered(lastingNumber(ms.Number, ms.Class), fmt.Sprintf("%s (error %d)", ms.Message, ms.Number), err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return &fault.Error{Code: fault.Invalid, Message: "the certificate of the outside directory is not trusted", Err: s.cause(err)}
	}
	return &fault.Error{Code: fault.Unavailable, Message: "the outside directory could not be reached, or was lost before the end of its answer",
		RetryAfter: retryAfter, Err: s.cause(err)}
}

func (s *Source) answered(lasting bool, said string, err error) error {
	f := &fault.Error{Code: fault.Unavailable, Message: "the outside directory says: " + s.hide(said), RetryAfter: retryAfter, Err: s.cause(err)}
	if lasting {
		f.Code, f.RetryAfter = fault.Invalid, 0
	}
	return f
}

// lasting says whether an SQLSTATE tells of a mistake in the address or the query, by its class: connection exceptions (08),
// transaction rollbacks (40), resources (53), locks (55), operators (57), system errors (58) and unknown ones pass.
func lasting(state string) bool {
	classes := []string{"0A", "21", "22", "25", "26", "28", "2F", "34", "38", "39", "3D", "3F", "42", "44", "P0"}
	return len(state) == 5 && slices.Contains(classes, state[:2])
}

// lastingNumber is lasting for SQL Server, where severities up to 16 are for the user to correct, but for deadlocks (1205), lock
// time-outs (1222) and limits of Azure SQL (10928, 10929).
func lastingNumber(number int32, severity uint8) bool {
	return severity <= 16 && !slices.Contains([]int32{1205, 1222, 10928, 10929}, number)
}

// cause is err without secrets. It is no chain any more: what could be found in one would show them.
func (s *Source) cause(err error) error { return errors.New(s.hide(err.Error())) }

func (s *Source) hide(text string) string {
	for _, secret := range s.secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if form != "" {
				text = strings.ReplaceAll(text, form, "xxxxx")
			}
		}
	}
	return text
}

// secretsOf are the passwords in a URL, of the user and among the settings.
func secretsOf(u *url.URL) (out []string) {
	if password, ok := u.User.Password(); ok {
		out = append(out, password)
	}
	for name, values := range u.Query() {
		if name = strings.ToLower(name); strings.Contains(name, "password") || name == "pwd" {
			out = append(out, values...)
		}
	}
	return out
}
