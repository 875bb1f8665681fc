package campaignersim

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	standardPage = 100
	largestPage  = 1000 // rows; who asks for more gets this
	smallestPage = 25   // of the fault small_pages
)

// request is one that is answered, with what is switched on while it is.
type request struct {
	*http.Request
	s      *Server
	w      http.ResponseWriter
	base   string // of links
	form   Forms
	sparse bool
	chancy bool // rows differ by chance
}

func (s *Server) request(w http.ResponseWriter, r *http.Request) *request {
	q := &request{Request: r, s: s, w: w, base: "http://" + r.Host + "/v1/", form: Forms{Plain: true, Zone: s.account.options.Forms.Zone}}
	q.sparse = s.chance.on(MissingFields)
	switch {
	case s.chance.on(MixedTimeForms):
		q.form.Times = timeForms[:]
	case s.chance.on(ZonelessTimes):
		q.form.Times = []TimeForm{Zoneless, SpacedZoneless}
	}
	q.chancy = q.sparse || len(q.form.Times) > 0
	return q
}

// object begins an answer.
func (r *request) object() *object {
	return &object{b: []byte{'{'}, form: r.form, sparse: r.sparse}
}

// open begins an object that is one of many; the same id always meets the same chance.
func (r *request) open(o *object, id int64) {
	o.b = append(o.b, '{')
	if r.chancy {
		o.Rand = rand.New(rand.NewPCG(r.s.Seed^0xe0a1, uint64(id)))
	}
}

// answer writes a body, in one write.
func (r *request) answer(body []byte) {
	r.w.Header().Set("Content-Type", "application/json; charset=utf-8")
	r.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = r.w.Write(body) // who asked has gone
}

func (r *request) bad(format string, args ...any) {
	writeError(r.w, http.StatusBadRequest, fmt.Sprintf(format, args...))
}

// notFound has no body.
func (r *request) notFound() { r.w.WriteHeader(http.StatusNotFound) }

// id is a number of the path; ok is false where it is none, and that has been answered.
func (r *request) id(name string) (id int64, ok bool) {
	id, err := strconv.ParseInt(r.PathValue(name), 10, 64)
	if err != nil {
		r.bad("The %s id %q is not a number.", name, r.PathValue(name))
	}
	return id, err == nil
}

// page is which part of a list is asked for.
type page struct {
	number, size int
	since        time.Time // zero = from the beginning
}

// page reads the parameters; ok is false where one is wrong, and that has been answered.
func (r *request) page() (p page, ok bool) {
	p = page{number: 1, size: standardPage}
	query := r.URL.Query()
	for i, n := range []*int{&p.number, &p.size} {
		name := [...]string{"PageNumber", "PageSize"}[i]
		text := query.Get(name)
		if text == "" {
			continue
		}
		value, err := strconv.ParseInt(text, 10, 32)
		if err != nil || value < 1 {
			r.bad("%s must be a number from 1, not %q.", name, text)
			return p, false
		}
		*n = int(value)
	}
	p.size = min(p.size, largestPage)
	if r.s.chance.on(SmallPages) {
		p.size = min(p.size, smallestPage+int(r.s.Seed%100))
	}
	since := query.Get("Since")
	if since == "" {
		return p, true
	}
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, since, r.form.Zone); err == nil {
			p.since = t
			return p, true
		}
	}
	r.bad("Since must be a time as 2026-03-01T10:15:31Z, not %q.", since)
	return p, false
}

// listing is a list, oldest row first.
type listing struct {
	n   int
	row func(o *object, i int) // appends the object of a row
}

// list answers a page of a list: the oldest row first, but the newest with the fault shifting_rows.
func (r *request) list(p page, l listing) {
	rows := rows{n: l.n}
	if r.s.chance.on(DuplicateRows) {
		rows.block = 20 + int(r.s.Seed%30)
	}
	var places []int
	total, served := rows.len(), func() {}
	if r.s.chance.on(ShiftingRows) {
		places, total, served = r.s.walks.page(r.walkKey(p), p, rows.len(), r.s.Seed)
	} else {
		for i := (p.number - 1) * p.size; i < min(p.number*p.size, total); i++ {
			places = append(places, i)
		}
	}
	o := r.object()
	o.b = append(make([]byte, 0, 512+400*len(places)), '{')
	nulls := r.s.chance.on(NullItems)
	pages := (total + p.size - 1) / p.size
	o.number("PageSize", int64(p.size))
	o.number("PageNumber", int64(p.number))
	o.number("TotalRecords", int64(total))
	if o.number("TotalPages", int64(pages)); nulls && pages == 1 {
		o.b = append(o.b[:len(o.b)-1], '0')
	}
	o.name("Items")
	if nulls && len(places) == 0 {
		o.b = append(o.b, "null"...)
	} else {
		o.b = append(o.b, '[')
		for n, place := range places {
			if n > 0 {
				o.b = append(o.b, ',')
			}
			l.row(o, rows.at(place))
		}
		o.b = append(o.b, ']')
	}
	o.links(r.pageLinks(p, pages))
	r.answer(append(o.b, '}'))
	served()
}

// walkKey names what is walked through.
func (r *request) walkKey(p page) string {
	return fmt.Sprintf("%s %d %d", r.URL.Path, p.size, p.since.Unix())
}

func (r *request) pageLinks(p page, pages int) (pairs []string) {
	to := func(rel string, number int) {
		q := url.Values{"PageNumber": {strconv.Itoa(number)}, "PageSize": {strconv.Itoa(p.size)}}
		if !p.since.IsZero() {
			q.Set("Since", p.since.UTC().Format(time.RFC3339))
		}
		pairs = append(pairs, rel, r.base+strings.TrimPrefix(r.URL.Path, "/v1/")+"?"+q.Encode())
	}
	to("self", p.number)
	if p.number > 1 {
		to("previous", p.number-1)
	}
	if p.number < pages {
		to("next", p.number+1)
	}
	return pairs
}

// rows are those of a list, with the last of each block of so many doubled; block 0 = none is.
type rows struct{ n, block int }

func (r rows) len() int {
	if r.block == 0 {
		return r.n
	}
	return r.n + r.n/r.block
}

// at is the row at a place.
func (r rows) at(place int) int {
	if r.block == 0 {
		return place
	}
	return place/(r.block+1)*r.block + min(place%(r.block+1), r.block-1)
}

// some tells, by chance, whether an optional field is there.
func (o *object) some() bool { return !o.sparse || o.Rand == nil || o.IntN(3) > 0 }

func (o *object) bool(name string, is bool) {
	o.name(name)
	o.b = strconv.AppendBool(o.b, is)
}

func (o *object) null(name string) {
	o.name(name)
	o.b = append(o.b, "null"...)
}

// percent writes a rate as the provider shows it; nothing of nothing is 0.
func (o *object) percent(name string, part, whole int) {
	rate := 0.0
	if whole > 0 {
		rate = float64(part) * 100 / float64(whole)
	}
	o.name(name)
	o.b = strconv.AppendFloat(o.b, rate, 'f', 2, 64)
}

// moment writes a time of the API.
func (o *object) moment(name string, t time.Time) {
	if o.Rand != nil && len(o.form.Times) > 0 {
		o.time(name, t)
		return
	}
	o.name(name)
	o.b = t.UTC().AppendFormat(append(o.b, '"'), "2006-01-02T15:04:05.000Z")
	o.b = append(o.b, '"')
}

// links writes pairs of a relation and where it leads.
func (o *object) links(pairs []string) {
	o.name("Links")
	o.b = append(o.b, '[')
	for i := 0; i < len(pairs); i += 2 {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		o.b = append(o.b, '{')
		o.text("rel", pairs[i])
		o.text("href", pairs[i+1])
		o.b = append(o.b, '}')
	}
	o.b = append(o.b, ']')
}
