package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"monterey/internal/fault"
	"monterey/internal/page"
)

// params is "$1, $2, …" for n values.
func params(n int) string {
	out := make([]string, n)
	for i := range out {
		out[i] = "$" + strconv.Itoa(i+1)
	}
	return strings.Join(out, ", ")
}

// array is a list that is not NULL when it is empty.
func array[T any](values []T) []T {
	if values == nil {
		return []T{}
	}
	return values
}

// row is one row of an answer: pgx.Row and pgx.Rows.
type row interface{ Scan(dest ...any) error }

// where collects conditions that must all hold, with the values that they name.
type where struct {
	conds []string
	args  []any
}

// add adds a condition with a question mark for each value.
func (w *where) add(cond string, args ...any) {
	for _, a := range args {
		cond = strings.Replace(cond, "?", w.arg(a), 1)
	}
	w.conds = append(w.conds, cond)
}

// arg adds a value and says how the statement names it.
func (w *where) arg(value any) string {
	w.args = append(w.args, value)
	return "$" + strconv.Itoa(len(w.args))
}

// clone is a copy that grows by itself.
func (w where) clone() where { return where{slices.Clone(w.conds), slices.Clone(w.args)} }

// sql is the condition as a whole; there must be one at least.
func (w *where) sql() string { return strings.Join(w.conds, " AND ") }

// query reads all rows of an answer.
func query[T any](ctx context.Context, tx pgx.Tx, scan func(row) (T, error), text string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	return readAll(rows, scan)
}

// readAll reads all rows of an answer that has come.
func readAll[T any](rows pgx.Rows, scan func(row) (T, error)) ([]T, error) {
	defer rows.Close()
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
func (l list[T]) page(ctx context.Context, tx pgx.Tx, p page.Params) (out page.Of[T], err error) {
	order, err := l.order(p)
	if err != nil {
		return out, err
	}
	tail := " FROM " + l.from + " WHERE " + l.where.sql()
	if err := tx.QueryRow(ctx, "SELECT count(*)"+tail, l.where.args...).Scan(&out.Total); err != nil {
		return out, err
	}
	w := l.where.clone()
	out.Items, err = query(ctx, tx, l.scan, "SELECT "+l.columns+tail+order+" LIMIT "+w.arg(p.Size)+" OFFSET "+w.arg(p.Offset()), w.args...)
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
	nulls := ""
	if strings.HasPrefix(by, "nullif(") { // to say it of what is never NULL would keep PostgreSQL from reading an index backwards
		nulls = " NULLS LAST"
	}
	return fmt.Sprintf(" ORDER BY %s%s%s, %s%s", by, direction, nulls, l.id, direction), nil
}

// contains says whether any of the texts contains the part, case ignored, in whatever locale the database has.
func contains(part string, texts ...string) bool {
	part = strings.ToLower(part)
	return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(strings.ToLower(t), part) })
}

// changed is nil when the statement touched a row, else NotFound.
func changed(tag pgconn.CommandTag, err error, what string) error {
	if err != nil || tag.RowsAffected() > 0 {
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
