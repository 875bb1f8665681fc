package transfer

import (
	"context"

	"github.com/jackc/pgx/v5"

	"monterey/internal/fault"
)

// progressTable is in the target while a move is under way. Its row "" is the move itself: the position is the source's origin
// and digest.
const progressTable = "copying"

const progressSchema = `CREATE TABLE copying (
	name     text COLLATE "C" PRIMARY KEY,
	position text    NOT NULL DEFAULT '',
	rows     bigint  NOT NULL DEFAULT 0,
	altered  bigint  NOT NULL DEFAULT 0,
	done     boolean NOT NULL DEFAULT false
)`

// standing is how far a table is.
type standing struct {
	position      string
	rows, altered int64
	done          bool
}

func (c *copier) standing(ctx context.Context, name string) (at standing, err error) {
	err = c.target.Load(ctx, "read how far it is", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT position, rows, altered, done FROM copying WHERE name = $1", name).Scan(&at.position, &at.rows, &at.altered, &at.done)
	})
	return at, err
}

// keep writes down how far a table is that stood at another position before.
func (s standing) keep(ctx context.Context, tx pgx.Tx, name, before string) error {
	tag, err := tx.Exec(ctx, "UPDATE copying SET position = $1, rows = $2, altered = $3, done = $4 WHERE name = $5 AND position = $6 AND NOT done",
		s.position, s.rows, s.altered, s.done, name, before)
	if err == nil && tag.RowsAffected() != 1 {
		err = fault.New(fault.Conflict, "another copy works on the target")
	}
	return err
}

// begin makes sure that the target holds nothing, or what an earlier attempt has left.
func (c *copier) begin(ctx context.Context, tables []*table, from look) error {
	state := from.origin + " " + from.digest
	return c.target.Load(ctx, "begin the copy", func(tx pgx.Tx) error {
		var under bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", progressTable).Scan(&under); err != nil {
			return err
		}
		if !under {
			c.report.Began = New
			if err := empty(ctx, tx, tables); err != nil {
				return err
			}
			return start(ctx, tx, tables, state)
		}
		var before string
		if err := tx.QueryRow(ctx, "SELECT position FROM copying WHERE name = ''").Scan(&before); err != nil {
			return err
		}
		switch {
		case before == state:
			c.report.Began = Resumed
			c.Say("An earlier copy goes on.")
			return nil
		case len(before) < len(from.origin) || before[:len(from.origin)] != from.origin:
			return fault.New(fault.Conflict, "the target holds an unfinished copy of another database: finish that one, or empty the target")
		}
		c.report.Began = Anew
		c.Say("The source has changed since an earlier copy was interrupted: it begins anew.")
		if err := clear(ctx, tx, tables); err != nil {
			return err
		}
		return start(ctx, tx, tables, state)
	})
}

// empty makes sure that none of the tables holds anything.
func empty(ctx context.Context, tx pgx.Tx, tables []*table) error {
	names := map[string]string{"inbox": "", "river_job": ""}
	for _, t := range tables {
		names[t.name] = t.mine
	}
	for name, cond := range names {
		var holds bool
		if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM "+name+whereSQL(cond)+")").Scan(&holds); err != nil {
			return err
		}
		if holds {
			return fault.New(fault.Conflict, "the target holds data already (in %s): it must be an empty database", name)
		}
	}
	return nil
}

// start notes that nothing of any table is copied.
func start(ctx context.Context, tx pgx.Tx, tables []*table, state string) error {
	if _, err := tx.Exec(ctx, progressSchema); err != nil {
		return err
	}
	names := []string{"river_job"}
	for _, t := range tables {
		names = append(names, t.name)
	}
	_, err := tx.Exec(ctx, "INSERT INTO copying (name, position) SELECT '', $1 UNION ALL SELECT unnest($2::text[]), ''", state, names)
	return err
}

// clear removes what an earlier attempt has copied.
func clear(ctx context.Context, tx pgx.Tx, tables []*table) error {
	text := "DROP TABLE copying; TRUNCATE inbox, river_job"
	remove := ""
	for _, t := range tables {
		switch {
		case t.name == "inbox":
		case t.mine == "":
			text += ", " + t.name
		default:
			remove += "; DELETE FROM " + t.name + whereSQL(t.mine)
		}
	}
	_, err := tx.Exec(ctx, text+remove)
	return err
}
