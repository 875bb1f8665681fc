// Package page is the paging that every list shares: what a caller asks for, and what a store answers.
package page

// Sizes of a page.
const (
	DefaultSize = 50
	MaxSize     = 500
)

// Params is one page by number. Number is from 1, Size from 1 to MaxSize.
type Params struct {
	Number, Size int
	Sort         string // the name of a field; "" = the list's own default
	Desc         bool
}

// Offset is how many rows come before the page.
func (p Params) Offset() int { return (p.Number - 1) * p.Size }

// Of is one page of a list. Total is the exact number of rows on all pages.
type Of[T any] struct {
	Items []T
	Total int64
}
