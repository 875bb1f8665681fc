package account

import (
	"context"
	"fmt"
	"io"
	"iter"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// MaxErrors is how many bad rows a result lists.
const MaxErrors = 1000

// RowError is a bad row.
type RowError struct {
	Line int64 // of a file, from 1; of an answer, the number of the row
	Msg  string
}

// Result is what came of an import.
type Result struct {
	Counts
	Errors    []RowError // the first MaxErrors of them
	ErrorRows int64      // all of them
}

// Skip notes a bad row.
func (r *Result) Skip(line int64, msg string) {
	r.ErrorRows++
	if len(r.Errors) < MaxErrors {
		r.Errors = append(r.Errors, RowError{line, msg})
	}
}

// ImportOptions say what an import does.
type ImportOptions struct {
	Replace bool // the file replaces the directory
	Partial bool // bad rows are left out; else one is enough to change nothing
}

// Import takes a CSV file into the directory: all of it, or nothing. The fault Invalid lists the bad rows; with Partial it
// comes only where a replacing file would empty the directory by mistake: where it ends inside a quoted cell, or has bad rows
// alone. An error of the file's reader comes back as it is.
func Import(ctx context.Context, s Store, c workspace.Caller, file io.Reader, o ImportOptions) (Result, error) {
	csv, err := NewCSV(file)
	if err != nil {
		return Result{}, err
	}
	var r Result
	r.Counts, err = s.ImportAccounts(ctx, c, r.entries(csv, o), o.Replace)
	return r, err
}

// entries gives the good rows and notes the bad ones; if they are too many, its last word is an error.
func (r *Result) entries(csv *CSV, o ImportOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		good, ended := 0, true
		for {
			e, line, msg, err := csv.Next()
			switch {
			case err == io.EOF:
				if r.ErrorRows > 0 && (!o.Partial || o.Replace && (good == 0 || !ended)) {
					yield(Entry{}, r.fault())
				}
				return
			case err != nil:
				yield(Entry{}, err)
				return
			case msg != "":
				r.Skip(line, msg)
				ended = msg != cut
				continue
			}
			good++
			if r.ErrorRows > 0 && !o.Partial {
				continue // nothing will change; the file is read on for its other bad rows
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// fault lists the bad rows.
func (r *Result) fault() error {
	f := &fault.Error{Code: fault.Invalid, Message: fmt.Sprintf("%d rows cannot be taken in; nothing was changed", r.ErrorRows)}
	if r.ErrorRows > MaxErrors {
		f.Message += fmt.Sprintf("; the first %d are listed", MaxErrors)
	}
	for _, e := range r.Errors {
		f.Fields = append(f.Fields, fault.Field{Loc: []string{"body"}, Line: e.Line, Msg: e.Msg, Type: "row"})
	}
	return f
}
