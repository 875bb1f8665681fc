package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
)

// row is one row of an answer: *sql.Row and *sql.Rows.
type row interface{ Scan(dest ...any) error }

// where collects conditions that must all hold, with the values of their question marks.
type where struct {
	conds []string
	args  []any
}

func (w *where) add(cond string, args ...any) {
	w.conds = append(w.conds, cond)
	w.args = append(w.args, args...)
}

// append adds the conditions of another.
func (w *where) append(other where) {
	w.conds = append(w.conds, other.conds...)
	w.args = append(w.args, other.args...)
}

// sql is the condition as a whole; there must be one at least.
func (w *where) sql() string { return strings.Join(w.conds, " AND ") }

// query reads all rows of an answer.
func query[T any](ctx context.Context, tx *sql.Tx, scan func(row) (T, error), text string, args ...any) ([]T, error) {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var out []T
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, item)
	}
	return out, rows.Err()
}

// list is a list that is read by pages.
type list[T any] struct {
	columns, from string
	where         where
	sorts         map[string]string // the SQL of each field that the list may be sorted by
	sort          string            // the field where none is asked for; with - descending
	id            string            // the SQL of what breaks ties
	scan          func(row) (T, error)
}

// page reads one page and the exact total, both of the snapshot of tx.
func (l list[T]) page(ctx context.Context, tx *sql.Tx, p page.Params) (out page.Of[T], err error) {
	order, err := l.order(p)
	if err != nil {
		return out, err
	}
	tail := " FROM " + l.from + " WHERE " + l.where.sql()
	if err := tx.QueryRowContext(ctx, "SELECT count(*)"+tail, l.where.args...).Scan(&out.Total); err != nil {
		return out, err
	}
	args := append(slices.Clone(l.where.args), p.Size, p.Offset())
	out.Items, err = query(ctx, tx, l.scan, "SELECT "+l.columns+tail+order+" LIMIT ? OFFSET ?", args...)
	return out, err
}

func (l list[T]) order(p page.Params) (string, error) {
	field, desc := p.Sort, p.Desc
	if field == "" {
		field, desc = strings.CutPrefix(l.sort, "-")
	}
	by, ok := l.sorts[field]
	if !ok {
		names := strings.Join(slices.Sorted(maps.Keys(l.sorts)), ", ")
		return "", fault.Fields(fault.Field{Loc: []string{"query", "sort"}, Msg: "must be one of " + names + ", with - descending", Type: "enum"})
	}
	direction := ""
	if desc {
		direction = " DESC"
	}
	return fmt.Sprintf(" ORDER BY %s%s NULLS LAST, %s%s", by, direction, l.id, direction), nil
}

// idsJSON is a list of ids for "IN (SELECT unhex(value) FROM json_each(?))": a question mark an id would soon be too many.
func idsJSON[ID ~struct{ uuid.UUID }](ids []ID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		u := struct{ uuid.UUID }(id).UUID
		texts[i] = hex.EncodeToString(u[:])
	}
	return listJSON(texts)
}

// listJSON is a list of texts or numbers for "IN (SELECT value FROM json_each(?))".
func listJSON[T ~string | ~int64](values []T) string {
	if len(values) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(values) // cannot fail for texts and numbers
	return string(text)
}

// null is a text for a column where nothing is NULL.
func null(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// contains says whether any of the texts contains the part, case ignored. LIKE would ignore the case of ASCII alone.
func contains(part string, texts ...string) bool {
	part = strings.ToLower(part)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), part) })
}

// changed is nil when the statement touched a row, else NotFound.
func changed(res sql.Result, err error, what string) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return noSuch(what)
}

func noSuch(what string) error { return fault.New(fault.NotFound, "there is no such %s", what) }

// found names what is missing where a query found no row.
func found(err error, what string) error {
	if fault.Is(translate(what, err), fault.NotFound) {
		return noSuch(what)
	}
	return err
}

// taken says why a statement conflicts with what is there.
func taken(err error, message string) error {
	if fault.Is(translate("", err), fault.Conflict) {
		return fault.Wrap(fault.Conflict, err, "%s", message)
	}
	return err
}
