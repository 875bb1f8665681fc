// Package account owns the account directory of a workspace: which account numbers hold which address. Bounces are joined
// to it by the normalised address. It reads and checks what people upload; reading a database outside is directory's.
package account

import (
	"context"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"monterey/internal/page"
	"monterey/internal/recipient"
	"monterey/internal/workspace"
)

// Entry says that an account holds an address. An account may hold several, and an address may be held by several.
type Entry struct {
	Number  string // as given, trimmed
	Address string // normalised
}

// Limits of an entry, in bytes.
const (
	maxNumber  = 200
	maxAddress = 320
)

// NewEntry makes an entry out of what somebody wrote. msg says what is wrong with it; "" = nothing.
func NewEntry(number, address string) (e Entry, msg string) {
	if !utf8.ValidString(number) || !utf8.ValidString(address) {
		return e, "is not UTF-8 text"
	}
	e = Entry{strings.TrimSpace(number), recipient.Normalise(address)}
	at := strings.LastIndexByte(e.Address, '@')
	switch {
	case e.Number == "":
		return e, "has no account_number"
	case len(e.Number) > maxNumber:
		return e, "has an account_number of more than 200 bytes"
	case strings.ContainsFunc(e.Number, unicode.IsControl):
		return e, "has an account_number with control characters"
	case e.Address == "":
		return e, "has no email"
	case len(e.Address) > maxAddress:
		return e, "has an email of more than 320 bytes"
	case at < 1 || at == len(e.Address)-1 || strings.ContainsFunc(e.Address, blank):
		return e, "has an email that is no address"
	}
	return e, ""
}

func blank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// Filter chooses entries; empty fields choose all.
type Filter struct {
	Numbers   []string // any of them
	Addresses []string // normalised; any of them
}

// ListParams is a filter with a place in the list.
type ListParams struct {
	Filter
	page.Params // Sort: account_number or email, the other breaks ties; default account_number
}

// Counts are what an import did to the directory.
type Counts struct {
	Inserted  int64
	Unchanged int64 // were there already
	Removed   int64 // by a replacing one
}

// Store keeps the directory.
type Store interface {
	ListAccounts(ctx context.Context, c workspace.Caller, p ListParams) (page.Of[Entry], error)
	// AccountNumbers finds the accounts that hold each normalised address, in bytewise order; addresses that none holds are
	// absent. However many addresses, it is one query.
	AccountNumbers(ctx context.Context, c workspace.Caller, addresses []string) (map[string][]string, error)
	// ImportAccounts adds entries to the directory, or puts them in its place. They are read to their end first, in constant
	// memory; an error among them is given back and nothing has changed. Otherwise all of them are there at once: nobody sees a
	// part, also not after a crash. An entry that comes twice is one. Imports into a workspace happen one after the other; the
	// fault Conflict says that another process began one meanwhile.
	ImportAccounts(ctx context.Context, c workspace.Caller, entries iter.Seq2[Entry, error], replace bool) (Counts, error)

	// PutSource sets where the directory is read from, in the place of what was set before.
	PutSource(ctx context.Context, c workspace.Caller, s Source) error
	// GetSource is NotFound while none is set.
	GetSource(ctx context.Context, c workspace.Caller) (Source, error)
	// DeleteSource lets the directory be read no more; what was read stays. NotFound while none is set.
	DeleteSource(ctx context.Context, c workspace.Caller) error
}
