package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"monterey/internal/provider"
)

// makeFolder makes the data folder, for this user alone, and for a SQLite database that is not there yet the server's secret.
// The secret comes first: a database without its secret must never be taken for a new one.
func (s *commonSettings) makeFolder() error {
	if s.onPostgres() {
		return nil // there may be nothing to put into it
	}
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if _, err := os.Stat(s.databasePath()); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(s.databasePath()), 0o700); err != nil {
		return fmt.Errorf("database folder: %w", err)
	}
	return s.makeSecret()
}

// databaseThere says where no database is: one made by a mistyped folder would be empty, and that is no answer.
func (s *commonSettings) databaseThere() error {
	if s.onPostgres() {
		return nil
	}
	if _, err := os.Stat(s.databasePath()); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database at %s; --data-dir or --database names another, and monterey serve, or workspace create, makes one", s.databasePath())
	}
	return nil
}

// makeSecret makes the server's secret for a new database, unless it is there.
func (s *commonSettings) makeSecret() error {
	if s.SecretKeyFile != "" {
		return nil // it was read when the settings were checked
	}
	if err := os.MkdirAll(s.DataDir, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := makeSecretKey(s.secretKeyPath()); err != nil {
		return fmt.Errorf("secret key: %w", err)
	}
	return nil
}

// openKeys reads the server's secret. A missing one is not replaced: a new one would find no webhook's connection and
// open no provider key.
func (s *commonSettings) openKeys() (*provider.Keys, error) {
	path := s.secretKeyPath()
	secret, err := readSecretKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the secret key %s is missing but the database is there: %s", path, s.secretAdvice())
	}
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return provider.NewKeys(secret)
}

// secretAdvice is what to do about a secret that is missing.
func (s *commonSettings) secretAdvice() string {
	from := "it is in every backup"
	if s.onPostgres() {
		from = "all processes need the same; --secret-key-file says where it is, and monterey migrate makes it with a new database"
	}
	return "put the key back (" + from + "); if it is lost, make one with `openssl rand -base64 32` and set all connections and account directories anew with monterey connection set and monterey accounts set"
}

func readSecretKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) < 32 {
		return nil, fmt.Errorf("%s must hold at least 32 bytes in base64, as `openssl rand -base64 32` makes them", path)
	}
	return secret, nil
}

// makeSecretKey makes the file, mode 0600, unless it is there. Where another process is quicker, its secret counts.
func makeSecretKey(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(provider.NewSecret()) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// lockServer makes sure that one server at a time works on a SQLite database. The lock ends with the process, however it
// ends. Commands do not take it: they work beside a server.
func (s *commonSettings) lockServer() (release func(), err error) {
	f, err := os.OpenFile(s.lockPath(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another server is running on %s; stop it first, or use another --data-dir", s.databasePath())
		}
		return nil, fmt.Errorf("lock the database: %w", err)
	}
	return func() { _ = f.Close() }, nil // closing releases the lock
}

// serverRuns says whether a server holds the lock at this moment.
func (s *commonSettings) serverRuns() bool {
	f, err := os.OpenFile(s.lockPath(), os.O_RDWR, 0)
	if err != nil {
		return false // no server has ever run, or not as a user whose files we may open
	}
	defer f.Close() // releases the lock, too
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

func (s *commonSettings) lockPath() string { return s.databasePath() + ".lock" }
