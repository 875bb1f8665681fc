package transfer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// table is one table of the target and how its rows are read from the source.
type table struct {
	name    string
	db      *sql.DB
	from    string // what is read, which the columns' expressions call t
	where   string // "" = all of it
	mine    string // which rows of the target are copied ones; "" = all
	key     []keyColumn
	columns []column
}

type keyColumn struct{ expr, kind string }

type column struct {
	name    string // in the target
	expr    string // in the source
	convert convert
}

// convert makes the target's value of the source's, which is not NULL. changed says that it had to be altered to fit.
type convert func(v any) (out any, changed bool, err error)

// renamed are columns whose names differ. Everything in the target that is called workspace_id is workspace in the source.
var renamed = map[string]string{
	"memberships.user_id":            "user",
	"historical_bounces.occurred_at": "place",
	"historical_bounces.id":          "place",
}

// elsewhere are columns whose values are not always in the table.
var elsewhere = map[string]string{
	"rollups.sets":     "CASE t.large WHEN 0 THEN t.sets ELSE (SELECT l.sets FROM rollup_sets l WHERE l.num = t.large) END",
	"rollups.quarters": "CASE t.large WHEN 0 THEN t.quarters ELSE (SELECT l.quarters FROM rollup_sets l WHERE l.num = t.large) END",
}

// converted are columns whose values do not follow from their types.
var converted = map[string]convert{
	"historical_bounces.occurred_at": func(v any) (any, bool, error) {
		b, err := blob(v, 24)
		if err != nil {
			return nil, false, err
		}
		return int64(binary.BigEndian.Uint64(b)), false, nil
	},
	"historical_bounces.id": func(v any) (any, bool, error) {
		b, err := blob(v, 24)
		if err != nil {
			return nil, false, err
		}
		return uuid.UUID(b[8:]), false, nil
	},
	"links.key": func(v any) (any, bool, error) {
		s, ok := v.(string)
		if !ok {
			return nil, false, fmt.Errorf("a text was expected, not %T", v)
		}
		sum := sha256.Sum256([]byte(s))
		return sum[:], false, nil
	},
}

// What the target does not have: the history of recipients is an index there, imports of accounts are taken over at once, and sets
// are in their rows.
var (
	leftTables  = []string{"history", "account_imports", "rollup_sets"}
	leftColumns = []string{"counters.history", "accounts.change", "inbox.epoch", "rollups.large"}
)

// ownTables are those of the target that hold nothing of the source. Jobs are made anew.
var ownTables = []string{"staged_accounts", "turns", progressTable}

// foreign says whether a table is goose's, River's or SQLite's.
func foreign(name string) bool {
	return name == "goose_db_version" || strings.HasPrefix(name, "river_") || strings.HasPrefix(name, "sqlite_")
}

// lastTables come at the end, in this order: without them nobody is let in, and nothing is counted.
var lastTables = []string{"workspaces", "users", "memberships", "connections", "api_keys", "inbox"}

// seenAccounts leaves out what an import of accounts has written that did not come to its end.
const seenAccounts = "(t.change BETWEEN 0 AND coalesce(i.current, 0) OR t.change < -coalesce(i.current, 0))"

// schema is the columns of tables.
type schema map[string][]schemaColumn

type schemaColumn struct {
	name, kind string
	key        int // place in the primary key, from 1; known of the source alone
}

// plan compares both schemas and says how each table is copied. It fails when either has something that is not provided for:
// nothing is left behind because a migration was forgotten here.
func (c *copier) plan(ctx context.Context) (tables []*table, err error) {
	source, err := sourceSchema(ctx, c.source.Main)
	if err != nil {
		return nil, err
	}
	source["inbox"] = nil
	if c.source.Inbox != nil {
		inbox, err := sourceSchema(ctx, c.source.Inbox)
		if err != nil {
			return nil, err
		}
		source["inbox"] = inbox["inbox"]
	}
	var target schema
	if err := c.target.Load(ctx, "read the schema", func(tx pgx.Tx) (err error) {
		target, err = targetSchema(ctx, tx)
		return err
	}); err != nil {
		return nil, err
	}
	m, err := c.readMarks(ctx)
	if err != nil {
		return nil, err
	}
	return match(source, target, c.source, m)
}

// match pairs the tables and columns of both.
func match(source, target schema, from Source, m marks) (tables []*table, err error) {
	var wrong []string
	for name := range source {
		if _, ok := target[name]; !ok && !foreign(name) && !slices.Contains(leftTables, name) {
			wrong = append(wrong, fmt.Sprintf("the target has no table %s", name))
		}
	}
	for name, columns := range target {
		had, ok := source[name]
		switch {
		case foreign(name), slices.Contains(ownTables, name):
			continue
		case !ok:
			wrong = append(wrong, fmt.Sprintf("the source has no table %s", name))
			continue
		case name == "inbox" && from.Inbox == nil:
			continue
		}
		t := &table{name: name, db: from.Main, from: quoted(name) + " AS t"}
		m.adjust(t, from)
		wrong = append(wrong, t.pair(had, columns, m)...)
		tables = append(tables, t)
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return nil, fmt.Errorf("transfer: the databases do not fit: %s", strings.Join(wrong, "; "))
	}
	slices.SortFunc(tables, func(a, b *table) int {
		return cmp.Or(cmp.Compare(slices.Index(lastTables, a.name), slices.Index(lastTables, b.name)), cmp.Compare(a.name, b.name))
	})
	return tables, nil
}

// pair finds for each column of the target where it is in the source, and says what finds nothing.
func (t *table) pair(source, target []schemaColumn, m marks) (wrong []string) {
	used := map[string]bool{}
	for _, c := range target {
		name := c.name
		if name == "workspace_id" {
			name = "workspace"
		}
		if other, ok := renamed[t.name+"."+c.name]; ok {
			name = other
		}
		i := slices.IndexFunc(source, func(s schemaColumn) bool { return s.name == name })
		if i < 0 {
			wrong = append(wrong, fmt.Sprintf("the source has nothing for %s.%s", t.name, c.name))
			continue
		}
		used[name] = true
		col := column{name: c.name, expr: "t." + quoted(name), convert: converted[t.name+"."+c.name]}
		if expr, ok := elsewhere[t.name+"."+c.name]; ok {
			col.expr = expr
		}
		if t.name == "inbox" && c.name == "seq" {
			col.expr = m.inboxSeq()
		}
		if col.convert == nil {
			if col.convert = conversions[source[i].kind+" "+c.kind]; col.convert == nil {
				wrong = append(wrong, fmt.Sprintf("%s.%s: nothing makes %s of %s", t.name, c.name, c.kind, source[i].kind))
			}
		}
		t.columns = append(t.columns, col)
	}
	key := slices.Clone(source)
	slices.SortFunc(key, func(a, b schemaColumn) int { return cmp.Compare(a.key, b.key) })
	for _, c := range key {
		if c.key > 0 {
			t.key = append(t.key, keyColumn{"t." + quoted(c.name), c.kind})
		}
		if !used[c.name] && !slices.Contains(leftColumns, t.name+"."+c.name) {
			wrong = append(wrong, fmt.Sprintf("the target has nothing for %s.%s", t.name, c.name))
		}
	}
	if len(t.key) == 0 {
		wrong = append(wrong, fmt.Sprintf("%s has no key", t.name))
	}
	return wrong
}

// adjust says what is read where that is not a whole table.
func (m marks) adjust(t *table, from Source) {
	switch t.name {
	case "accounts":
		t.from += " LEFT JOIN account_imports i ON i.workspace = t.workspace"
		t.where = seenAccounts
	case "marks":
		t.from = m.marksSQL() + " AS t"
		t.mine = fmt.Sprintf("number < %d", m.own)
	case "inbox":
		t.db = from.Inbox
		t.from += m.joinSQL()
		t.where = "t.seq > m.counted"
	}
}

// conversions between a type of the source and one of the target.
var conversions = map[string]convert{
	"INTEGER smallint": integer,
	"INTEGER integer":  integer,
	"INTEGER bigint":   integer,
	"INTEGER boolean": func(v any) (any, bool, error) {
		n, ok := v.(int64)
		if !ok {
			return nil, false, fmt.Errorf("a number was expected, not %T", v)
		}
		return n != 0, false, nil
	},
	"BLOB bytea": func(v any) (any, bool, error) {
		b, ok := v.([]byte)
		if !ok {
			return nil, false, fmt.Errorf("bytes were expected, not %T", v)
		}
		if b == nil {
			b = []byte{} // which is not NULL
		}
		return b, false, nil
	},
	"BLOB uuid": func(v any) (any, bool, error) {
		b, err := blob(v, 16)
		if err != nil {
			return nil, false, err
		}
		return uuid.UUID(b), false, nil
	},
	"TEXT text": func(v any) (any, bool, error) {
		s, ok := v.(string)
		if !ok {
			return nil, false, fmt.Errorf("a text was expected, not %T", v)
		}
		fit := fitting(s)
		return fit, fit != s, nil
	},
	"TEXT text[]": func(v any) (any, bool, error) { // a JSON array there
		s, ok := v.(string)
		if !ok {
			return nil, false, fmt.Errorf("a text was expected, not %T", v)
		}
		list, changed := []string{}, false
		if err := json.Unmarshal([]byte(s), &list); err != nil {
			return nil, false, err
		}
		for i, s := range list {
			list[i] = fitting(s)
			changed = changed || list[i] != s
		}
		return list, changed, nil
	},
}

func integer(v any) (any, bool, error) {
	n, ok := v.(int64)
	if !ok {
		return nil, false, fmt.Errorf("a number was expected, not %T", v)
	}
	return n, false, nil
}

func blob(v any, size int) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok || len(b) != size {
		return nil, fmt.Errorf("%d bytes were expected, not %T of %d", size, v, len(b))
	}
	return b, nil
}

// fitting is a text that PostgreSQL can hold: one of valid UTF-8 without NUL.
func fitting(s string) string {
	if utf8.ValidString(s) && !strings.Contains(s, "\x00") {
		return s
	}
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\ufffd"), "\ufffd")
}

func quoted(name string) string { return `"` + name + `"` }

func sourceSchema(ctx context.Context, db *sql.DB) (schema, error) {
	rows, err := db.QueryContext(ctx, `SELECT s.name, c.name, c.type, c.pk FROM sqlite_schema s, pragma_table_info(s.name) c
		WHERE s.type = 'table' ORDER BY s.name, c.cid`)
	if err != nil {
		return nil, fmt.Errorf("transfer: read the source's schema: %w", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	out := schema{}
	for rows.Next() {
		var name string
		var c schemaColumn
		if err := rows.Scan(&name, &c.name, &c.kind, &c.key); err != nil {
			return nil, fmt.Errorf("transfer: read the source's schema: %w", err)
		}
		out[name] = append(out[name], c)
	}
	return out, rows.Err()
}

// targetSchema leaves partitions and tables of extensions out.
func targetSchema(ctx context.Context, tx pgx.Tx) (schema, error) {
	rows, err := tx.Query(ctx, `SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace = current_schema()::regnamespace AND a.attnum > 0 AND NOT a.attisdropped
		AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
		ORDER BY c.relname, a.attnum`)
	if err != nil {
		return nil, err
	}
	out := schema{}
	var name string
	var c schemaColumn
	_, err = pgx.ForEachRow(rows, []any{&name, &c.name, &c.kind}, func() error {
		out[name] = append(out[name], c)
		return nil
	})
	return out, err
}
