package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"monterey/internal/store/postgres"
	"monterey/internal/store/sqlite"
	"monterey/internal/store/transfer"
)

type copyCommand struct {
	From string `required:"" help:"The database to copy, sqlite:PATH. Its server must be stopped." placeholder:"URL"`
	To   string `help:"The empty database to copy into, a postgres:// URL past PgBouncer; by default what --database says." placeholder:"URL"`
}

// copied is what a copy did.
type copied struct {
	From         string           `json:"from"`
	To           string           `json:"to"`
	Began        string           `json:"began"`
	Rows         int64            `json:"rows"`
	Tables       map[string]int64 `json:"tables"`
	Waiting      int64            `json:"waiting"`
	Tasks        int64            `json:"tasks"`
	AlteredTexts int64            `json:"altered_texts"`
	Drifted      int              `json:"drifted"`
	Workspaces   []recounted      `json:"workspaces"`
}

// Run copies everything from SQLite to PostgreSQL, while no server runs. After an interrupt, running it again goes on.
func (c *copyCommand) Run(ctx context.Context, p *program) (err error) {
	if c.To == "" {
		c.To = cmp.Or(p.common.DatabaseDirect, p.common.Database)
	}
	if err := p.check(c.mistakes()...); err != nil {
		return err
	}
	from := &commonSettings{Database: c.From}
	to := &commonSettings{Database: c.To}
	source, release, err := openSource(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	target, err := postgres.OpenWith(ctx, postgres.Options{URL: c.To, Fill: true})
	if err != nil {
		return fmt.Errorf("open the target: %w", err)
	}
	defer target.Close()
	show := p.progress()
	r, err := transfer.Run(ctx, source, target, transfer.Options{Say: show.say, At: func(t transfer.Progress) {
		show.at(stage{what: t.Step, done: t.Rows, total: &t.Total})
	}})
	show.end(err == nil)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted; run it again to go on")
	}
	if err != nil {
		return err
	}
	return p.reportCopy(from, to, r)
}

func (c *copyCommand) mistakes() (wrong []string) {
	path, isSQLite := strings.CutPrefix(c.From, "sqlite:")
	switch {
	case isPostgres(c.From) && !isPostgres(c.To):
		return []string{"PostgreSQL cannot be copied to SQLite; --from must be sqlite:PATH and --to a postgres:// URL"}
	case isPostgres(c.From):
		wrong = append(wrong, "PostgreSQL cannot be copied with this; use pg_dump and pg_restore")
	case !isSQLite || path == "":
		wrong = append(wrong, "--from must be sqlite:PATH")
	}
	if to := (&commonSettings{Database: c.To}); !to.onPostgres() {
		wrong = append(wrong, "--to must be a postgres:// URL")
	} else {
		for _, w := range to.databaseMistakes() {
			wrong = append(wrong, strings.ReplaceAll(w, "--database", "--to"))
		}
	}
	return wrong
}

// openSource opens a SQLite database for reading, and keeps servers away from it until release.
func openSource(s *commonSettings) (source transfer.Source, release func() error, err error) {
	if source.Main, err = sqlite.OpenReading(s.databasePath()); err != nil {
		return source, nil, fmt.Errorf("open the source: %w", err)
	}
	unlock, err := s.lockServer()
	if err != nil {
		return source, nil, errors.Join(err, source.Main.Close())
	}
	open := []*sql.DB{source.Main}
	release = func() (err error) {
		for _, db := range open {
			err = errors.Join(err, db.Close())
		}
		unlock()
		return err
	}
	source.Inbox, err = sqlite.OpenReading(s.inboxPath())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		source.Inbox = nil // no server has run yet
	case err != nil:
		return source, nil, errors.Join(fmt.Errorf("open the source: %w", err), release())
	default:
		open = append(open, source.Inbox)
	}
	return source, release, nil
}

func (p *program) reportCopy(from, to *commonSettings, r transfer.Report) error {
	out := copied{From: from.databaseName(), To: to.databaseName(), Began: string(r.Began), Rows: r.Rows, Tables: map[string]int64{}, Waiting: r.Waiting,
		Tasks: r.Tasks, AlteredTexts: r.Altered, Workspaces: []recounted{}}
	for _, t := range r.Tables {
		out.Tables[t.Name] = t.Rows
	}
	for _, w := range r.Workspaces {
		p.sayDrift(w.Workspace, w.Drift)
		out.Workspaces = append(out.Workspaces, recounted{w.Workspace.ID.String(), w.Days, w.Rows, w.Drifted})
		out.Drifted += w.Drifted
	}
	if r.Altered > 0 {
		p.say("%d texts held a NUL or were no valid UTF-8, which PostgreSQL cannot keep: U+FFFD stands in its place now.", r.Altered)
	}
	if r.Waiting > 0 {
		p.say("%d deliveries wait to be counted: the server on the target does that.", r.Waiting)
	}
	p.say("The secret key was not copied: %s opens what is sealed in the target too. Give every process that file with --secret-key-file.", p.secretOf(from))
	return p.result(out, fmt.Sprintf("%d rows were copied from %s to %s and counted on both sides; the recount found %d of its rows differing.\n", r.Rows, out.From, out.To, out.Drifted))
}

// secretOf is the file of the secret that sealed what is in a source: the setting's, or the one beside the database.
func (p *program) secretOf(source *commonSettings) string {
	beside := filepath.Join(filepath.Dir(source.databasePath()), secretName)
	if _, err := os.Stat(beside); err == nil && p.common.SecretKeyFile == "" {
		return beside
	}
	return p.common.secretKeyPath()
}
