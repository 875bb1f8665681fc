package campaigner

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Bounds of a walk.
const (
	maxPasses   = 3
	maxEmpties  = 3 // pages without rows in a row, where the provider counts more
	maxRepeated = 3 // times that one page comes in a row
)

// Cursor is how far a walk has come. It can be kept as JSON and holds no address. A new walk begins with Since and
// PageSize, or with the zero Cursor.
type Cursor struct {
	Since    time.Time `json:"since,omitzero"`
	PageSize int       `json:"page_size,omitempty"` // to ask for; falls to what the provider gives; 0 = DefaultPageSize
	Pass     int       `json:"pass,omitempty"`      // from 1
	Page     int       `json:"page,omitempty"`      // to read next, from 1
	Answers  int       `json:"answers,omitempty"`   // of the pass
	Read     int64     `json:"read,omitempty"`      // rows of the pass, without those of the page before
	Twice    int64     `json:"twice,omitempty"`     // rows of the pass that the page before had too, though the provider counted as many as before
	Begun    *int64    `json:"begun,omitempty"`     // rows that the provider counted when the pass began; nil = unknown
	Total    *int64    `json:"total,omitempty"`     // rows that it counts, as it said last; nil = unknown
	Fresh    int64     `json:"fresh,omitempty"`     // rows of the pass that were new to the visitor
	Whole    bool      `json:"whole,omitempty"`     // a later pass reads everything, not only while there are new rows
	Shaken   bool      `json:"shaken,omitempty"`    // rows may have been missed in this pass
	First    string    `json:"first,omitempty"`     // the first and the last row of the page before Page
	Last     string    `json:"last,omitempty"`
	Mark     time.Time `json:"mark,omitzero"`  // Date of the first answer: from here the next sync goes on; zero = not said
	Most     int64     `json:"most,omitempty"` // Read of the whole pass before that read the most
	// Missing is how many rows more the provider counted when the last whole pass began than that pass read. If it brought
	// nothing new, rows that it gave twice may be counted twice, and what it did not give a pass before may have given. Once a
	// walk is done, either that count is wrong, or there are rows that it does not give.
	Missing int64 `json:"missing,omitempty"`
	Done    bool  `json:"done,omitempty"`
}

// beyond is how many rows a count is beyond those that were read.
func (c Cursor) beyond(count *int64) int64 {
	if count == nil {
		return 0
	}
	return max(*count-c.Read, 0)
}

// Walk reads all pages of a list, from the one that the cursor names, and gives each with rows to visit, with the cursor
// to keep once its rows are stored. visit tells how many of the rows were new to it. Rows come more than once: store them
// by their ids. Walk returns the cursor to go on from, beside any error too; it is Done when the walk is over, and then a
// further Walk does nothing.
//
// Where a list ends. Neither TotalPages nor TotalRecords is trusted to end it. A page ends it that has no rows, fewer rows
// than the PageSize that it names itself, or the rows of the page before once more, unless rows beyond it are counted:
// then up to three empty pages are passed over, and a page that comes three times is an IncompleteError. So is a refusal
// with 400 or 404 of a page that no count promises.
//
// Rows that shift. Rows added ahead push others to later pages: these come twice. Rows taken away ahead pull others to
// pages that were read: these would be missed. So a walk is of passes. Unless one answer held everything, a second pass
// begins at the first page and ends at a page without new rows. It reads to the end if the first was shaken: the
// provider did not count the rows, counted fewer than before or more than it gave, or rows came twice and it did not count
// more. There are three passes at most, the third only if the second was shaken too and found new rows. What escapes them
// all, as rows taken away while as many are added behind, has no trace in the answers; a full walk later finds it.
//
// Going on. A resumed walk first reads the page before the cursor again. If its first or last row of then is on it, what
// shifted in between by less than a page is on it or behind it. If neither is, the pass is shaken.
//
// A smaller page than asked. From then on that size is asked for, and Page is counted anew in it, rounded down.
func Walk[T Row](ctx context.Context, list func(context.Context, ListParams) (Page[T], error), from Cursor,
	visit func(context.Context, Page[T], Cursor) (fresh int, err error)) (Cursor, error) {
	w := walk[T]{Cursor: from}
	w.begin()
	for !w.Done {
		kept := w.Cursor
		page, err := list(ctx, w.params())
		if w.pastTheEnd(err) {
			page, err = Page[T]{}, nil
		}
		if err != nil {
			return kept, err
		}
		move, err := w.take(page)
		if err != nil {
			return kept, err
		}
		fresh := 0
		if len(page.Items) > 0 {
			if fresh, err = visit(ctx, page, w.Cursor); err != nil {
				return kept, err
			}
		}
		w.Fresh += int64(fresh)
		w.Whole = w.Whole || w.Pass > 1 && w.Shaken
		if move == ended || move == forward && w.Pass > 1 && !w.Whole && fresh == 0 {
			w.endPass()
		}
	}
	return w.Cursor, nil
}

// move is what a page means for the walk.
type move uint8

const (
	forward move = iota // to the next page
	back                // the page only joins what follows to what was read before
	ended               // the pass
)

type walk[T Row] struct {
	Cursor
	again    bool            // the page before the cursor is to be read again
	before   map[string]bool // keys of the page before
	empties  int
	repeated int
}

func (w *walk[T]) begin() {
	w.PageSize = ListParams{PageSize: w.PageSize}.pageSize()
	w.Pass, w.Page = max(w.Pass, 1), max(w.Page, 1)
	w.again = w.Page > 1
}

func (w *walk[T]) params() ListParams {
	p := ListParams{Page: w.Page, PageSize: w.PageSize, Since: w.Since}
	if w.again {
		p.Page--
	}
	return p
}

// pastTheEnd says whether a refusal only means that there is no such page.
func (w *walk[T]) pastTheEnd(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != http.StatusNotFound && e.Status != http.StatusBadRequest {
		return false
	}
	return w.Page > 1 && (w.again || w.Total == nil || w.beyond(w.Total) == 0 || int64(w.Page-1)*int64(w.PageSize) >= *w.Total)
}

// take moves the cursor past a page.
func (w *walk[T]) take(p Page[T]) (move, error) {
	if w.Pass == 1 && w.Answers == 0 {
		w.Mark = p.Date
	}
	w.Answers++
	number := w.params().Page
	keys := make(map[string]bool, len(p.Items))
	for _, row := range p.Items {
		keys[hashKey(row.key())] = true
	}
	came := 0 // rows that the page before had
	for k := range keys {
		if w.before[k] {
			came++
		}
	}
	if p.Size > 0 && p.Size < w.PageSize && w.shrink(number, p.Size) {
		w.count(p, 0)
		return back, nil
	}
	grown := w.count(p, came)
	if w.again {
		w.again = false
		w.Shaken = w.Shaken || !keys[w.First] && !keys[w.Last]
		w.remember(p, keys)
		return back, nil
	}
	same := came > 0 && came == len(keys) && came == len(w.before) && grown < int64(came)
	if !same {
		w.Read += int64(len(p.Items) - came)
		if grown == 0 {
			w.Twice += int64(came)
		}
	}
	end, err := w.ends(p, number, same)
	if err != nil {
		return forward, err
	}
	w.Page++
	w.remember(p, keys)
	if end {
		return ended, nil
	}
	return forward, nil
}

// shrink goes over to a smaller page, and back to where the page of this number began; false if that is the beginning.
func (w *walk[T]) shrink(number, size int) bool {
	rows := (number - 1) * w.PageSize
	w.PageSize = size
	if rows == 0 {
		return false
	}
	w.Shaken = w.Shaken || w.again // nothing shows that the page before is the one of then
	w.Page, w.again, w.before, w.First, w.Last = rows/size+1, false, nil, "", ""
	return true
}

// count notes what the answer's total says of rows that were missed, and tells how much it has grown.
func (w *walk[T]) count(p Page[T], came int) (grown int64) {
	if len(p.Items) == 0 && p.Total == nil {
		return 0 // an empty page that says nothing
	}
	if p.Total != nil && w.Total != nil {
		grown = *p.Total - *w.Total
	}
	// A page that came again as a whole is looked at by ends.
	if p.Total == nil || grown < 0 || int64(came) > grown && came < len(w.before) {
		w.Shaken = true
	}
	if w.Begun == nil {
		w.Begun = p.Total
	}
	w.Total = p.Total
	return grown
}

func (w *walk[T]) remember(p Page[T], keys map[string]bool) {
	w.before, w.First, w.Last = keys, "", ""
	if n := len(p.Items); n > 0 {
		w.First, w.Last = hashKey(p.Items[0].key()), hashKey(p.Items[n-1].key())
	}
}

// ends says whether the list ends with a page.
func (w *walk[T]) ends(p Page[T], number int, same bool) (bool, error) {
	switch {
	case len(p.Items) == 0:
		w.empties++
		more := w.counted(p, number-1)
		if more {
			w.Shaken = true
		}
		return !more || w.empties >= maxEmpties, nil
	case same:
		w.repeated++
		unpaged := p.Number == 0 && p.Size == 0 && p.Total == nil && p.Pages == nil
		if unpaged || p.Total != nil && !w.counted(p, number-1) {
			return true, nil
		}
		if w.repeated >= maxRepeated-1 {
			e := &IncompleteError{Page: number, Read: w.Read}
			if p.Total != nil {
				e.Total = *p.Total
			}
			return false, e
		}
		return false, nil
	}
	w.empties, w.repeated = 0, 0
	isShort := p.Size > 0 && len(p.Items) < p.Size
	return isShort && !w.counted(p, number) && w.beyond(w.Total) == 0, nil
}

// counted says whether the provider counts rows beyond so many pages.
func (w *walk[T]) counted(p Page[T], pages int) bool {
	switch {
	case p.Total != nil && p.Size > 0:
		return int64(pages)*int64(p.Size) < *p.Total
	case p.Total != nil:
		return w.Read < *p.Total
	}
	return p.Pages != nil && int64(pages) < *p.Pages
}

// endPass ends the walk, or begins the next pass.
func (w *walk[T]) endPass() {
	if w.Whole || w.Pass == 1 {
		w.Missing = w.beyond(w.Begun)
		w.Shaken = w.Shaken || w.Missing > 0
		if w.Missing > 0 && w.Pass > 1 && w.Fresh == 0 {
			w.Missing = max(0, min(w.Missing-w.Twice, *w.Begun-w.Most))
		}
		w.Most = max(w.Most, w.Read)
	}
	if w.Pass == 1 {
		w.Done = w.Answers == 1 && w.Missing == 0
	} else {
		w.Done = !w.Shaken || w.Fresh == 0 || w.Pass == maxPasses
	}
	if w.Done {
		return
	}
	w.Pass, w.Page, w.Whole, w.Shaken = w.Pass+1, 1, w.Shaken, false
	w.Answers, w.Read, w.Twice, w.Fresh, w.Begun, w.First, w.Last = 0, 0, 0, 0, nil, "", ""
	w.before, w.empties, w.repeated = nil, 0, 0
}
