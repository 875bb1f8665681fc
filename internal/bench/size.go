package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
)

// sizes are what a data set takes, in bytes.
type sizes struct {
	All             int64
	Events, Rollups size
	Tables          []tableSize // the biggest
}

// size is what tables take with their indexes, now and written anew.
type size struct{ Now, Fresh int64 }

type tableSize struct {
	Name  string
	Bytes int64
}

func (e *engine) sizes(ctx context.Context, p place) (s sizes, err error) {
	if e.cluster == nil {
		info, err := os.Stat(p.sqliteFile())
		if err != nil {
			return s, err
		}
		return sizes{All: info.Size()}, nil
	}
	say("writing events and rollups anew, to see how much larger they have grown")
	return s, withConn(ctx, p.url, func(conn *pgx.Conn) (err error) {
		if err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&s.All); err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `SELECT coalesce(i.inhparent, c.oid)::regclass::text, sum(pg_total_relation_size(c.oid))::bigint
			FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
			GROUP BY 1 ORDER BY 2 DESC LIMIT 8`)
		if err != nil {
			return err
		}
		if s.Tables, err = pgx.CollectRows(rows, pgx.RowToStructByPos[tableSize]); err != nil {
			return err
		}
		if s.Events, err = written(ctx, conn, "events", "workspace_id, id"); err != nil {
			return err
		}
		s.Rollups, err = written(ctx, conn, "rollups", "workspace_id, campaign, span, bucket")
		return err
	})
}

// written compares a table, or its partitions, with a copy that has the same settings: filled in the order of the key, its indexes
// made afterwards.
func written(ctx context.Context, conn *pgx.Conn, table, key string) (s size, err error) {
	rows, err := conn.Query(ctx, `SELECT c.oid::regclass::text, coalesce('WITH (' || array_to_string(c.reloptions, ', ') || ')', ''), pg_total_relation_size(c.oid)
		FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
		WHERE c.relkind = 'r' AND (c.oid = $1::regclass OR i.inhparent = $1::regclass) AND pg_relation_size(c.oid) > 0`, table)
	if err != nil {
		return s, err
	}
	type part struct {
		name, settings string
		bytes          int64
	}
	parts, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (p part, err error) { return p, r.Scan(&p.name, &p.settings, &p.bytes) })
	for _, p := range parts {
		var fresh int64
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE TABLE fresh (LIKE %[1]s INCLUDING ALL) %[2]s; INSERT INTO fresh SELECT * FROM %[1]s ORDER BY %[3]s;
				REINDEX TABLE fresh`, p.name, p.settings, key))
			return err
		})
		if err == nil {
			err = conn.QueryRow(ctx, "SELECT pg_total_relation_size('fresh')").Scan(&fresh)
		}
		if err == nil {
			_, err = conn.Exec(ctx, "DROP TABLE fresh")
		}
		if err != nil {
			return s, err
		}
		s.Now, s.Fresh = s.Now+p.bytes, s.Fresh+fresh
	}
	return s, err
}

func (e *engine) sizeRows(set *dataset) {
	s, stored := set.Sizes, int64(set.Drain.Stored)
	if e.cluster == nil {
		e.note("monterey.db takes %s, raw bodies included: %d bytes an event.", mib(s.All), s.All/stored)
		return
	}
	for _, of := range []struct {
		what string
		size
	}{{"events and their indexes", s.Events}, {"rollups", s.Rollups}} {
		grown := float64(of.Now) / float64(of.Fresh)
		e.add(row{what: "size of " + of.what, must: "< 1.50 ×", measured: mib(of.Now), yardstick: yardstick{"written anew", mib(of.Fresh)}, ratio: grown,
			verdict: atLeast(-grown, -1.5, -1.5)})
	}
	var tables []string
	for _, t := range s.Tables {
		tables = append(tables, fmt.Sprintf("%s %s", t.Name, mib(t.Bytes)))
	}
	e.note("events take %d bytes an event with their indexes; the whole database %s, raw bodies included: %d bytes an event. Its biggest tables: %s.",
		s.Events.Now/stored, mib(s.All), s.All/stored, strings.Join(tables, ", "))
}

// settle leaves the database as it is when nothing has happened for a while: what autovacuum would do while reads are measured is
// done, and dirty pages are written.
func (e *engine) settle(ctx context.Context, p place) error {
	if e.cluster == nil {
		return nil
	}
	return withConn(ctx, p.url, func(conn *pgx.Conn) error {
		for _, statement := range []string{"VACUUM (ANALYZE)", "CHECKPOINT"} {
			if _, err := conn.Exec(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	})
}
