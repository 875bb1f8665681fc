package main

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"monterey/internal/store/sqlite"
)

// An archive is a tar file: manifest.json, then the files of archiveFiles. It holds the secret key, so it opens everything
// that it keeps.
const archiveFormat = 1

const (
	manifestName = "manifest.json"
	mainName     = "monterey.db"
	inboxName    = sqlite.InboxFile
	secretName   = "secret.key"
)

var archiveFiles = []string{mainName, inboxName, secretName}

type manifest struct {
	Format    int       `json:"format"`
	Version   string    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
}

// writeArchive writes the files of a folder.
func writeArchive(w io.Writer, dir string, m manifest) error {
	t := tar.NewWriter(w)
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	header := &tar.Header{Name: manifestName, Mode: 0o600, Size: int64(len(text)), ModTime: m.CreatedAt}
	if err := t.WriteHeader(header); err != nil {
		return err
	}
	if _, err := t.Write(text); err != nil {
		return err
	}
	for _, name := range archiveFiles {
		if err := addFile(t, filepath.Join(dir, name), name, m.CreatedAt); err != nil {
			return err
		}
	}
	return t.Close()
}

func addFile(t *tar.Writer, path, name string, at time.Time) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: at, Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// readArchive unpacks an archive into a folder; all its files must be there, and no others.
func readArchive(r io.Reader, dir string) (m manifest, err error) {
	t := tar.NewReader(r)
	var got []string
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return m, fmt.Errorf("this is no backup of Monterey, or it is damaged: %w", err)
		}
		switch {
		case h.Name == manifestName && len(got) == 0:
			if err := json.NewDecoder(io.LimitReader(t, 1<<20)).Decode(&m); err != nil {
				return m, fmt.Errorf("the backup's manifest cannot be read: %w", err)
			}
			if m.Format != archiveFormat {
				return m, fmt.Errorf("the backup has format %d; this release reads format %d", m.Format, archiveFormat)
			}
		case slices.Contains(archiveFiles, h.Name) && !slices.Contains(got, h.Name):
			if err := takeFile(t, filepath.Join(dir, h.Name)); err != nil {
				return m, err
			}
		default:
			return m, fmt.Errorf("%q does not belong in a backup of Monterey", h.Name)
		}
		got = append(got, h.Name)
	}
	if len(got) != len(archiveFiles)+1 {
		return m, fmt.Errorf("the backup is not whole: it has %q only", got)
	}
	return m, nil
}

func takeFile(r io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}
