package campaigner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// book is a provider's list, and how it answers for a page.
type book struct {
	ids    []int
	size   int // the largest page that it gives; 0 = any
	change func(*Page[Bounce], ListParams)
	before func(n int) // before the answer number n, from 1
	asked  []string
	fail   map[int]error // by the number of the request
}

func (b *book) list(_ context.Context, p ListParams) (Page[Bounce], error) {
	b.asked = append(b.asked, fmt.Sprintf("%d/%d", p.Page, p.PageSize))
	n := len(b.asked)
	if b.before != nil {
		b.before(n)
	}
	if err := b.fail[n]; err != nil {
		return Page[Bounce]{}, err
	}
	size := p.PageSize
	if b.size > 0 {
		size = min(size, b.size)
	}
	page := Page[Bounce]{Number: p.Page, Size: size, Total: new(int64(len(b.ids))), Pages: new(int64((len(b.ids) + size - 1) / size)),
		Date: time.Date(2026, 3, 1, 10, 0, n, 0, time.UTC)}
	from := min((p.Page-1)*size, len(b.ids))
	for _, id := range b.ids[from:min(from+size, len(b.ids))] {
		page.Items = append(page.Items, Bounce{ID: strconv.Itoa(id)})
	}
	if b.change != nil {
		b.change(&page, p)
	}
	return page, nil
}

// shelf is what a visitor keeps: rows by their ids, and the cursor beside them.
type shelf struct {
	rows   map[string]bool
	cursor Cursor
	visits int
	stopAt int // the visit that fails; 0 = none
}

var errKilled = errors.New("killed")

func (s *shelf) visit(_ context.Context, p Page[Bounce], c Cursor) (fresh int, err error) {
	s.visits++
	if s.visits == s.stopAt {
		return 0, errKilled
	}
	for _, row := range p.Items {
		if !s.rows[row.ID] {
			fresh++
		}
		s.rows[row.ID] = true
	}
	kept, err := json.Marshal(c) // as a job keeps it
	if err != nil {
		return 0, err
	}
	s.cursor = Cursor{}
	return fresh, json.Unmarshal(kept, &s.cursor)
}

func numbers(from, to int) (ids []int) {
	for i := from; i <= to; i++ {
		ids = append(ids, i)
	}
	return ids
}

func lackingOf(s *shelf, ids []int) (lacking []int) {
	for _, id := range ids {
		if !s.rows[strconv.Itoa(id)] {
			lacking = append(lacking, id)
		}
	}
	return lacking
}

// Where a list ends, whatever the provider says of it.
func TestWalkEnds(t *testing.T) {
	none := func(p *Page[Bounce], _ ListParams) { p.Number, p.Size, p.Total, p.Pages = 0, 0, nil, nil }
	tests := []struct {
		name   string
		book   book
		asks   string
		missed int64
	}{
		{"empty", book{}, "[1/10]", 0},
		{"one short page", book{ids: numbers(1, 7)}, "[1/10]", 0},
		{"one full page", book{ids: numbers(1, 10)}, "[1/10 2/10 1/10]", 0},
		{"several", book{ids: numbers(1, 25)}, "[1/10 2/10 3/10 1/10]", 0},
		{"smaller pages", book{ids: numbers(1, 9), size: 4}, "[1/10 2/4 3/4 1/4]", 0},
		{"TotalPages 0", book{ids: numbers(1, 25), change: func(p *Page[Bounce], _ ListParams) { p.Pages = nil }}, "[1/10 2/10 3/10 1/10]", 0},
		{"TotalPages too small", book{ids: numbers(1, 25), change: func(p *Page[Bounce], _ ListParams) { p.Pages = new(int64(1)) }}, "[1/10 2/10 3/10 1/10]", 0},
		{"TotalPages too large", book{ids: numbers(1, 25), change: func(p *Page[Bounce], _ ListParams) { p.Pages = new(int64(9)) }}, "[1/10 2/10 3/10 1/10]", 0},
		{"TotalRecords too small", book{ids: numbers(1, 25), change: func(p *Page[Bounce], _ ListParams) { p.Total = new(int64(3)) }}, "[1/10 2/10 3/10 1/10]", 0},
		{"TotalRecords too large", book{ids: numbers(1, 5), change: func(p *Page[Bounce], _ ListParams) { p.Total = new(int64(6)) }},
			"[1/10 2/10 1/10 2/10]", 1},
		{"neither", book{ids: numbers(1, 15), change: func(p *Page[Bounce], _ ListParams) { p.Pages, p.Total = nil, nil }}, "[1/10 2/10 1/10 2/10]", 0},
		{"nothing said of pages", book{ids: numbers(1, 15), change: none}, "[1/10 2/10 3/10 1/10 2/10 3/10]", 0},
		{"a claimed size that is not kept", book{ids: numbers(1, 9), size: 4, change: func(p *Page[Bounce], _ ListParams) { p.Size = 10 }},
			"[1/10 2/10 3/10 1/10]", 0},
		{"the same whole list for every page", book{ids: numbers(1, 15), change: func(p *Page[Bounce], _ ListParams) {
			none(p, ListParams{})
			p.Items = nil
			for i := range 15 {
				p.Items = append(p.Items, Bounce{ID: strconv.Itoa(i + 1)})
			}
		}}, "[1/10 2/10 1/10 2/10]", 0},
		{"the last page for all behind it", book{ids: numbers(1, 20), change: func(p *Page[Bounce], q ListParams) {
			if q.Page > 2 {
				p.Number = 2
				for i := range 10 {
					p.Items = append(p.Items, Bounce{ID: strconv.Itoa(i + 11)})
				}
			}
		}}, "[1/10 2/10 3/10 1/10]", 0},
		{"no page behind the last", book{ids: numbers(1, 20), fail: map[int]error{3: &Error{Status: 404}}}, "[1/10 2/10 3/10 1/10]", 0},
		{"a page without rows once", book{ids: numbers(1, 25), change: func() func(p *Page[Bounce], q ListParams) {
			n := 0
			return func(p *Page[Bounce], q ListParams) {
				if n++; n == 2 {
					p.Items = nil
				}
			}
		}()}, "[1/10 2/10 3/10 4/10 1/10 2/10 3/10]", 0},
		{"pages without rows for ever", book{ids: numbers(1, 90), change: func(p *Page[Bounce], q ListParams) {
			if q.Page > 2 {
				p.Items = nil
			}
		}}, "[1/10 2/10 3/10 4/10 5/10 1/10 2/10 3/10 4/10 5/10]", 70},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &shelf{rows: map[string]bool{}}
			c, err := Walk(t.Context(), tt.book.list, Cursor{PageSize: 10}, s.visit)
			if err != nil || !c.Done || c.Missing != tt.missed {
				t.Fatalf("the cursor %+v, %v", c, err)
			}
			if got := fmt.Sprint(tt.book.asked); got != tt.asks {
				t.Errorf("asked %s, want %s", got, tt.asks)
			}
			if lacking := lackingOf(s, tt.book.ids); int64(len(lacking)) != tt.missed && tt.missed != 1 {
				t.Errorf("missed %v", lacking)
			}
			if want := time.Date(2026, 3, 1, 10, 0, 1, 0, time.UTC); !c.Mark.Equal(want) {
				t.Errorf("the mark is %v", c.Mark)
			}
			asked := len(tt.book.asked)
			if again, err := Walk(t.Context(), tt.book.list, c, s.visit); err != nil || again != c || len(tt.book.asked) != asked {
				t.Errorf("walked again to %+v, %v", again, err)
			}
		})
	}
}

func TestWalkOfOnePageAgainAndAgain(t *testing.T) {
	b := book{ids: numbers(1, 25), change: func(p *Page[Bounce], q ListParams) {
		p.Items = nil
		for i := range 10 {
			p.Items = append(p.Items, Bounce{ID: strconv.Itoa(i)})
		}
	}}
	s := &shelf{rows: map[string]bool{}}
	_, err := Walk(t.Context(), b.list, Cursor{PageSize: 10}, s.visit)
	if e, ok := errors.AsType[*IncompleteError](err); !ok || *e != (IncompleteError{Page: 3, Read: 10, Total: 25}) || len(b.asked) != 3 {
		t.Errorf("asked %v, %v", b.asked, err)
	}
}

func TestWalkErrors(t *testing.T) {
	later := &LaterError{After: time.Minute}
	for _, failure := range []error{later, &Error{Status: 404}, &Error{Status: 401}, context.Canceled} {
		b := book{ids: numbers(1, 45), fail: map[int]error{4: failure}}
		s := &shelf{rows: map[string]bool{}}
		c, err := Walk(t.Context(), b.list, Cursor{PageSize: 10}, s.visit)
		if !errors.Is(err, failure) || c.Done || c.Page != 4 || s.cursor.Page != 4 || c.Read != 30 {
			t.Errorf("%v: the cursor %+v, kept %+v, %v", failure, c, s.cursor, err)
		}
		c, err = Walk(t.Context(), b.list, c, s.visit)
		if err != nil || !c.Done || len(lackingOf(s, b.ids)) != 0 || fmt.Sprint(b.asked[4:]) != "[3/10 4/10 5/10 1/10]" {
			t.Errorf("%v: then asked %v, the cursor %+v, %v", failure, b.asked[4:], c, err)
		}
	}
	b := book{fail: map[int]error{1: &Error{Status: 404}}}
	if _, err := Walk(t.Context(), b.list, Cursor{}, (&shelf{}).visit); err == nil {
		t.Error("a list that is not there was walked")
	}
}

// What may hide that rows were missed: as many new ones behind, so that all counts add up.
func TestWalkHiddenLoss(t *testing.T) {
	tests := []struct {
		name   string
		before func(b *book, n int)
		change func() func(*Page[Bounce], ListParams)
		stopAt int // the visit at which the walk is killed
		resume func(b *book)
		asks   string
	}{
		{name: "a row taken away ahead", before: func(b *book, n int) {
			switch n {
			case 2:
				b.ids = b.ids[1:] // 11 is now on page 1
			case 3:
				b.ids = append(b.ids, 26)
			}
		}, asks: "[1/10 2/10 3/10 1/10 2/10 3/10]"},
		{name: "an order that is not stable", before: func(b *book, n int) {
			switch n {
			case 2:
				b.ids[9], b.ids[10] = b.ids[10], b.ids[9] // 10 comes again, 11 never
			case 3:
				b.ids = append(b.ids, 26)
			}
		}, asks: "[1/10 2/10 3/10 4/10 1/10 2/10 3/10]"},
		{name: "a row taken away as pages become smaller", before: func(b *book, n int) {
			switch n {
			case 2:
				b.size = 4
			case 3:
				b.ids = b.ids[3:] // 11 is now on what was read of page 1
			case 4:
				b.ids = append(b.ids, 26, 27, 28)
			}
		}, asks: "[1/10 2/10 3/4 4/4 5/4 6/4 7/4 1/4 2/4 3/4 4/4 5/4 6/4 7/4]"},
		{name: "less than a page taken away in a pause", stopAt: 3, resume: func(b *book) {
			b.ids = append(b.ids[9:], numbers(26, 40)...)
		}, asks: "[1/10 2/10 3/10 2/10 3/10 4/10 1/10]"},
		{name: "more than a page taken away in a pause", stopAt: 3, resume: func(b *book) {
			b.ids = append(b.ids[12:], numbers(26, 40)...)
		}, asks: "[1/10 2/10 3/10 2/10 3/10 1/10 2/10 3/10]"},
		{name: "smaller pages after a pause", stopAt: 3, resume: func(b *book) {
			b.ids, b.size = append(b.ids[18:], numbers(26, 50)...), 7
		}, asks: "[1/10 2/10 3/10 2/10 2/7 3/7 4/7 5/7 1/7 2/7 3/7 4/7 5/7]"},
		{name: "new rows behind a page without rows", before: func(b *book, n int) {
			if n == 4 {
				b.ids = append(numbers(100, 114), b.ids...)
			}
		}, change: func() func(*Page[Bounce], ListParams) {
			n := 0
			return func(p *Page[Bounce], _ ListParams) {
				if n++; n == 4 {
					p.Items = nil
				}
			}
		}, asks: "[1/10 2/10 3/10 1/10 2/10 3/10 4/10 5/10 1/10 2/10 3/10 4/10 5/10]"},
		{name: "new rows behind the page read again", before: func(b *book, n int) {
			if n == 4 {
				b.ids = append(numbers(100, 124), b.ids...)
			}
		}, stopAt: 6, asks: "[1/10 2/10 3/10 1/10 2/10 3/10 2/10 3/10 4/10]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &book{ids: numbers(1, 25)}
			if tt.before != nil {
				b.before = func(n int) { tt.before(b, n) }
			}
			if tt.change != nil {
				b.change = tt.change()
			}
			s := &shelf{rows: map[string]bool{}, stopAt: tt.stopAt}
			c, err := Walk(t.Context(), b.list, Cursor{PageSize: 10}, s.visit)
			if tt.stopAt > 0 {
				if !errors.Is(err, errKilled) {
					t.Fatalf("was not killed: %v", err)
				}
				if tt.resume != nil {
					tt.resume(b)
				}
				c, err = Walk(t.Context(), b.list, s.cursor, s.visit)
			}
			if err != nil || !c.Done {
				t.Fatalf("the cursor %+v, %v", c, err)
			}
			if lacking := lackingOf(s, b.ids); len(lacking) > 0 || fmt.Sprint(b.asked) != tt.asks {
				t.Errorf("missed %v, asked %v, want %s", lacking, b.asked, tt.asks)
			}
		})
	}
}

// What came ahead while walking is found by reading on from the first page as long as there is something new.
func TestWalkInsertion(t *testing.T) {
	b := book{ids: numbers(100, 130)}
	b.before = func(n int) {
		if n == 2 {
			b.ids = append(numbers(1, 13), b.ids...)
		}
	}
	s := &shelf{rows: map[string]bool{}}
	c, err := Walk(t.Context(), b.list, Cursor{PageSize: 10}, s.visit)
	if err != nil || !c.Done || len(lackingOf(s, b.ids)) != 0 || fmt.Sprint(b.asked) != "[1/10 2/10 3/10 4/10 5/10 6/10 1/10 2/10]" {
		t.Errorf("missed %v, asked %v, %v", lackingOf(s, b.ids), b.asked, err)
	}
}

// The provider begins to give smaller pages in the middle.
func TestWalkShrink(t *testing.T) {
	b := book{ids: numbers(1, 45)}
	b.before = func(n int) {
		if n == 4 {
			b.size = 7
		}
	}
	s := &shelf{rows: map[string]bool{}}
	c, err := Walk(t.Context(), b.list, Cursor{PageSize: 10}, s.visit)
	if err != nil || !c.Done || len(lackingOf(s, b.ids)) != 0 || fmt.Sprint(b.asked) != "[1/10 2/10 3/10 4/10 5/7 6/7 7/7 1/7]" {
		t.Errorf("missed %v, asked %v, %v", lackingOf(s, b.ids), b.asked, err)
	}
}

// Every row that stays is visited, whatever is added anywhere or taken away in the first pass, one change before an
// answer, and whatever mix of both happens while the walk is interrupted, wherever that is.
func TestWalkProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		silent := rapid.Bool().Draw(t, "silent")
		least := 1
		if silent {
			least = 2 // one row ahead of pages of one row, again and again, looks like one page for every number
		}
		size := rapid.IntRange(least, 6).Draw(t, "size")
		b := &book{ids: numbers(1, rapid.IntRange(0, 40).Draw(t, "rows")), size: rapid.SampledFrom([]int{0, 0, least, 3, 5}).Draw(t, "most")}
		b.change = func(p *Page[Bounce], _ ListParams) {
			if silent {
				p.Total, p.Pages = nil, nil
			}
		}
		next, changes := 1000, rapid.IntRange(0, 12).Draw(t, "changes")
		mutate := func(remove bool) {
			at := rapid.IntRange(0, len(b.ids)).Draw(t, "at")
			switch {
			case !remove:
				next++
				b.ids = slices.Insert(b.ids, at, next)
			case at < len(b.ids):
				b.ids = slices.Delete(b.ids, at, at+1)
			}
		}
		s := &shelf{rows: map[string]bool{}}
		from := Cursor{PageSize: size}
		b.before = func(int) {
			if changes > 0 && rapid.Bool().Draw(t, "change") {
				changes--
				mutate(from.Pass <= 1 && s.cursor.Pass <= 1 && rapid.Bool().Draw(t, "remove"))
			}
		}
		start := slices.Clone(b.ids)
		for range 4 {
			s.visits, s.stopAt = 0, rapid.IntRange(0, 12).Draw(t, "killed at")
			c, err := Walk(context.Background(), b.list, from, s.visit)
			if err == nil {
				if !c.Done {
					t.Fatalf("an end that is none: %+v", c)
				}
				break
			}
			if !errors.Is(err, errKilled) {
				t.Fatal(err)
			}
			from = s.cursor
			if from.Pass == 0 {
				from = Cursor{PageSize: size}
			}
			if from.Pass <= 1 {
				for range rapid.IntRange(0, 8).Draw(t, "changes in between") {
					mutate(rapid.Bool().Draw(t, "remove"))
				}
			}
			s.stopAt = 0
		}
		s.visits, s.stopAt = 0, 0
		if _, err := Walk(context.Background(), b.list, from, s.visit); err != nil {
			t.Fatal(err)
		}
		stayed := slices.DeleteFunc(start, func(id int) bool { return !slices.Contains(b.ids, id) })
		if lacking := lackingOf(s, stayed); len(lacking) > 0 {
			t.Fatalf("missed %v of %v, asked %v", lacking, stayed, b.asked)
		}
	})
}

// Rows that are listed and counted twice are none that are missing; rows that are counted and not given are.
func TestWalkMissing(t *testing.T) {
	twice := func(b *book) { b.ids = append(append(numbers(1, 10), 10), numbers(11, 24)...) } // 10 ends page 1 and begins page 2
	for _, tt := range []struct {
		name   string
		before func(b *book, n int)
		change func(*Page[Bounce], ListParams)
		want   int64
	}{
		{name: "a row twice", before: func(b *book, _ int) { twice(b) }},
		{name: "a row twice and one not given", before: func(b *book, _ int) { twice(b) }, change: func(p *Page[Bounce], _ ListParams) {
			if p.Number == 2 {
				p.Items = p.Items[:9]
			}
		}, want: 1},
		{name: "rows not given", change: func(p *Page[Bounce], _ ListParams) {
			if p.Number == 2 {
				p.Items = p.Items[4:]
			}
		}, want: 4},
		{name: "rows out of place once all were read", before: func(b *book, n int) {
			if n == 4 { // the next pass finds a part of the newest only
				b.change = func(p *Page[Bounce], _ ListParams) { p.Items, p.Total = p.Items[min(2, len(p.Items)):], new(int64(24)) }
			}
		}},
	} {
		b := &book{ids: numbers(1, 25), change: tt.change}
		if tt.before != nil {
			b.before = func(n int) { tt.before(b, n) }
		}
		s := &shelf{rows: map[string]bool{}}
		got, err := Walk(t.Context(), b.list, Cursor{PageSize: 10}, s.visit)
		if err != nil || !got.Done || got.Missing != tt.want {
			t.Errorf("%s: %d are missing, want %d; done %v after %v, error %v", tt.name, got.Missing, tt.want, got.Done, b.asked, err)
		}
	}
}
