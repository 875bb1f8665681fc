package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
)

// PageParams are the parameters of a list.
type PageParams struct {
	Page     int `query:"page" minimum:"1" maximum:"1000000000" default:"1" doc:"Number of the page, from 1"`
	PageSize int `query:"page_size" minimum:"1" maximum:"500" default:"50" doc:"Items on a page"`
}

func (p PageParams) params() page.Params { return page.Params{Number: max(p.Page, 1), Size: p.size()} }

// SortedParams are the parameters of a list that can be sorted; S says by what.
type SortedParams[S choice] struct {
	PageParams
	SortParam[S]
}

// SortParam is the parameter sort.
type SortParam[S choice] struct {
	Sort oneOf[S] `query:"sort" doc:"Field to sort by; with - descending. Unknown values come last, ids break ties"`
}

// params is the page asked for; without a sort the list's own default.
func (p SortedParams[S]) params() page.Params {
	out := p.PageParams.params()
	out.Sort, out.Desc = strings.CutPrefix(string(p.Sort), "-")
	return out
}

func (p PageParams) size() int {
	if p.PageSize == 0 {
		return page.DefaultSize
	}
	return p.PageSize
}

// sortable are the choices of a list that sorts by these fields, both ways.
func sortable(fields ...string) []string {
	var out []string
	for _, f := range fields {
		out = append(out, f, "-"+f)
	}
	return out
}

// ListOf is a page of a list.
type ListOf[T any] struct {
	Page       int     `json:"page" example:"1"`
	PageSize   int     `json:"page_size" example:"50"`
	Total      int64   `json:"total" doc:"Items on all pages, exactly" example:"1"`
	Items      []T     `json:"items"`
	NextCursor *string `json:"next_cursor" doc:"What follows, as the parameter cursor; null at the end and for lists without cursors"`
}

// newList makes a page of wire types out of what a store gave.
func newList[T, W any](p page.Params, got page.Of[T], wire func(T) W) ListOf[W] {
	l := ListOf[W]{Page: p.Number, PageSize: p.Size, Total: got.Total, Items: make([]W, 0, len(got.Items))}
	for _, item := range got.Items {
		l.Items = append(l.Items, wire(item))
	}
	return l
}

// CursorParams are the parameters of a list that can also be walked by cursor.
type CursorParams[S choice] struct {
	SortedParams[S]
	Cursor string `query:"cursor" doc:"The next_cursor of the page before, in place of page; the filters must be the same"`

	after  *cursor // where the page begins, or nil
	filter string
}

func (p *CursorParams[S]) check(e env) ([]fault.Field, error) {
	p.filter = e.filter
	if p.Cursor == "" {
		return nil, nil
	}
	if p.Page != 0 {
		return []fault.Field{{Loc: []string{"query", "page"}, Msg: "cannot be given together with cursor", Type: "conflict"}}, nil
	}
	c, ok := parseCursor(p.Cursor)
	if !ok {
		return []fault.Field{{Loc: []string{"query", "cursor"}, Msg: "is no next_cursor of this server", Type: "cursor"}}, nil
	}
	if c.filter != hashFilter(p.filter) {
		return []fault.Field{{Loc: []string{"query", "cursor"}, Msg: "belongs to a list with other filters", Type: "cursor"}}, nil
	}
	p.after, p.Page = &c, int(c.page)
	return nil, nil
}

// next is the cursor that continues behind a row.
func (p *CursorParams[S]) next(id uuid.UUID, updated time.Time) *string {
	c := cursor{filter: hashFilter(p.filter), id: id, updated: updated, page: uint32(max(p.Page, 1)) + 1}
	s := c.String()
	return &s
}

// cursor is a row's place in a list. It is no secret and no right: whoever makes one up still sees only their own rows.
type cursor struct {
	filter  uint64
	page    uint32 // number of the page that begins here
	id      uuid.UUID
	updated time.Time
}

const cursorSize = 8 + 4 + 16 + 8

func (c cursor) String() string {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, cursorSize), c.filter)
	b = binary.BigEndian.AppendUint32(b, c.page)
	b = append(b, c.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.updated.UnixNano()))
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string) (c cursor, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != cursorSize {
		return c, false
	}
	c.filter, c.page = binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:])
	copy(c.id[:], b[12:])
	c.updated = time.Unix(0, int64(binary.BigEndian.Uint64(b[28:]))).UTC()
	return c, true
}

// filterOf writes what a list is filtered and sorted by in one form, whatever order it was asked in.
func filterOf(path string, query url.Values) string {
	var b strings.Builder
	b.WriteString(trimSlash(path))
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values := split([]string{strings.ToLower(strings.Join(query[name], ","))})
		if name == "page" || name == "page_size" || name == "cursor" || len(values) == 0 {
			continue
		}
		slices.Sort(values)
		b.WriteString("\x00" + name + "\x00" + strings.Join(values, "\x01"))
	}
	return b.String()
}

func hashFilter(filter string) uint64 {
	sum := sha256.Sum256([]byte(filter))
	return binary.BigEndian.Uint64(sum[:])
}
