package campaigner

import (
	"context"
	"hash/fnv"
	"net/url"
	"strconv"
	"time"
)

// DefaultPageSize is in use with other clients of the API. The provider may give less.
const DefaultPageSize = 1000

// SinceOverlap is how much further back than its last mark a sync should ask. Which of a row's times Since looks at,
// whether it includes its second, and in which zone, is written down nowhere.
const SinceOverlap = 48 * time.Hour

// ListParams choose a page of a list.
type ListParams struct {
	Page     int       // from 1; 0 = 1
	PageSize int       // 0 = DefaultPageSize
	Since    time.Time // a saving only: what is older may come too; zero = everything
}

func (p ListParams) query() url.Values {
	q := url.Values{"PageNumber": {strconv.Itoa(max(p.Page, 1))}, "PageSize": {strconv.Itoa(p.pageSize())}}
	if !p.Since.IsZero() {
		q.Set("Since", p.Since.UTC().Format(time.RFC3339))
	}
	return q
}

func (p ListParams) pageSize() int {
	if p.PageSize <= 0 {
		return DefaultPageSize
	}
	return p.PageSize
}

// Row is one of the rows that lists have.
type Row interface {
	Bounce | Campaign | Contact
	// key tells rows apart, as far as they can be.
	key() string
}

// Page is one page of a list. What the provider says of pages may be absent or wrong.
type Page[T Row] struct {
	Items  []T
	Number int       // 0 = not said
	Size   int       // of full pages; 0 = not said
	Total  *int64    // rows of all pages; nil = not said. 0 beside Items is not said either
	Pages  *int64    // as Total
	Date   time.Time // when the page was made, by the provider's clock; zero = not said
}

// list asks for a page.
func list[T Row](ctx context.Context, c *Client, path string, p ListParams, read func(*row, []byte) T) (Page[T], error) {
	return call(ctx, c, path, p.query(), func(a answer) (Page[T], error) {
		page, err := readPage(a.body, c.config.Zone, c.config.APIKey, read)
		page.Date = a.date
		return page, err
	})
}

// readPage reads the page that a body is: an object with Items, or the rows alone. Null is a list without rows.
func readPage[T Row](body []byte, zone *time.Location, key Key, read func(*row, []byte) T) (page Page[T], err error) {
	value, err := wholeValue(body)
	if err != nil {
		return page, err
	}
	items := notNull(value)
	if value[0] == '{' {
		r := row{fields: objectFields(value)}
		items = r.find("Items")
		page.Number, page.Size = r.small("PageNumber"), r.small("PageSize")
		page.Total, page.Pages = r.count("TotalRecords"), r.count("TotalPages")
	}
	page.Items, err = readItems(items, zone, key, read)
	if len(page.Items) > 0 {
		page.Total, page.Pages = positive(page.Total), positive(page.Pages)
	}
	return page, err
}

// small is a count that fits an int; 0 for none and for what is wrong.
func (r *row) small(name string) int {
	n := r.count(name)
	if n == nil || *n > 1<<30 {
		return 0
	}
	return int(*n)
}

func positive(n *int64) *int64 {
	if n != nil && *n == 0 {
		return nil
	}
	return n
}

// readItems reads the rows of an array. An element that is no object is a row with that fault.
func readItems[T any](items []byte, zone *time.Location, key Key, read func(*row, []byte) T) ([]T, error) {
	if items == nil {
		return nil, nil
	}
	if items[0] != '[' {
		return nil, &Error{Message: "the answer has no list of rows"}
	}
	var rows []T
	for _, v := range arrayValues(items) {
		r := &row{zone: zone, key: key}
		if v[0] == '{' {
			r.fields = objectFields(v)
		} else {
			r.faults = append(r.faults, "not an object: "+key.clean(bounded(v)))
		}
		rows = append(rows, read(r, v))
	}
	return rows, nil
}

// one asks for a single object.
func one[T any](ctx context.Context, c *Client, path string, read func(*row, []byte) T) (T, error) {
	return call(ctx, c, path, nil, func(a answer) (v T, err error) {
		value, err := wholeValue(a.body)
		if err != nil {
			return v, err
		}
		if value[0] != '{' {
			return v, &Error{Message: "the answer is not an object"}
		}
		return read(&row{fields: objectFields(value), zone: c.config.Zone, key: c.config.APIKey}, value), nil
	})
}

// hashKey is a key of a row that may be kept: it holds no address.
func hashKey(key string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return strconv.FormatUint(h.Sum64(), 16)
}

// IsID says whether a text can be one of the provider's ids; a campaign that a webhook named may have another.
func IsID(id string) bool { return segment("", id) == nil }

// segment checks an id that becomes a part of a path: it may come from a webhook, and must lead nowhere else.
func segment(kind, id string) error {
	for i := range len(id) {
		if c := id[i] | 0x20; !isDigit(id[i]) && (c < 'a' || c > 'z') && id[i] != '-' && id[i] != '_' {
			return &Error{Path: kind, Message: "this is no id of the provider"}
		}
	}
	if id == "" || len(id) > maxID {
		return &Error{Path: kind, Message: "this is no id of the provider"}
	}
	return nil
}
