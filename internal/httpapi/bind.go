package httpapi

import (
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/semaphore"

	"monterey/internal/fault"
)

// An operation's input is a struct. Its fields (also of embedded structs) say where they come from:
//
//	ID     pathID  `path:"id"`
//	Search string  `query:"search" doc:"…"`     // string, bool and int (with minimum, maximum), or a param
//	Body   struct  // JSON; its fields as encoding/json has them
//
// What must be checked over several fields, or with the clock and the workspace's time zone at hand, an embedded struct and a
// body do in check, and the input as a whole in checkInput (its embedded structs would lend it theirs). They are called also
// when other fields are wrong, so that all are told at once. Embedded types have exported names, or reflection cannot call them.

// param is a parameter's type that reads itself. raw are its values as sent, at least one, none of them empty. msg and
// kind say what is wrong; "" = nothing.
type param interface {
	set(raw []string) (msg, kind string)
}

type checker interface {
	check(e env) ([]fault.Field, error)
}

// rawReader is an input that reads the request's body itself, or makes ready to, up to a bound that env has.
type rawReader interface {
	read(w http.ResponseWriter, r *http.Request, e env) error
}

type inputChecker interface {
	checkInput(e env) ([]fault.Field, error)
}

// env is what a check may need.
type env struct {
	now          time.Time
	zone         func() (*time.Location, error) // the workspace's
	filter       string                         // what the list is filtered and sorted by, for cursors
	allowPrivate bool                           // a provider may be at a private address
	maxWebhook   int64                          // bytes of a webhook's body
	bodies       *semaphore.Weighted            // bytes of all webhooks' bodies together
	maxImport    int64                          // bytes of a file
}

var checkerType = reflect.TypeFor[checker]()

type binder struct {
	fields   []bound
	checkers [][]int // embedded structs with a check
	body     []int   // nil = none
	bodyType reflect.Type
	params   []*huma.Param
}

type bound struct {
	loc, name string
	index     []int
	field     reflect.StructField
}

func newBinder[I any](reg huma.Registry) *binder {
	b := &binder{}
	t := reflect.TypeFor[I]()
	b.collect(reg, t, nil)
	return b
}

func (b *binder) collect(reg huma.Registry, t reflect.Type, at []int) {
	for i := range t.NumField() {
		f, index := t.Field(i), append(slices.Clone(at), i)
		switch {
		case f.Anonymous:
			n := len(b.checkers)
			b.collect(reg, f.Type, index)
			if len(b.checkers) == n && reflect.PointerTo(f.Type).Implements(checkerType) { // else it is the inner struct's, lent
				b.checkers = append(b.checkers, index)
			}
		case f.Name == "Body":
			b.body, b.bodyType = index, f.Type
		case f.Tag.Get("path") != "":
			b.add(reg, "path", f.Tag.Get("path"), index, f)
		case f.Tag.Get("query") != "":
			b.add(reg, "query", f.Tag.Get("query"), index, f)
		}
	}
}

func (b *binder) add(reg huma.Registry, loc, name string, index []int, f reflect.StructField) {
	b.fields = append(b.fields, bound{loc, name, index, f})
	s := huma.SchemaFromField(reg, f, "")
	p := &huma.Param{Name: name, In: loc, Description: s.Description, Required: loc == "path", Schema: s}
	if s.Type == huma.TypeArray {
		explode := true
		p.Style, p.Explode = "form", &explode
	}
	s.Description = ""
	if len(s.Examples) > 0 {
		p.Example, s.Examples = s.Examples[0], nil
	}
	b.params = append(b.params, p)
}

func (b *binder) known(op *operation, name string) bool {
	return op.AnyQuery || op.WorkspaceInQuery && name == "workspace_id" ||
		slices.ContainsFunc(b.fields, func(f bound) bool { return f.loc == "query" && f.name == name })
}

// bind fills in the input that in points to. wrong are all its bad fields; err is what ends the request at once (a body
// that cannot be read, a store that fails).
func (b *binder) bind(in any, w http.ResponseWriter, r *http.Request, op *operation, e env) (wrong []fault.Field, err error) {
	v := reflect.ValueOf(in).Elem()
	query, qerr := url.ParseQuery(r.URL.RawQuery)
	if qerr != nil && !op.AnyQuery {
		wrong = append(wrong, fault.Field{Loc: []string{"query"}, Msg: "cannot be read: a % or ; that is not encoded", Type: "format"})
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !b.known(op, name) {
			wrong = append(wrong, fault.Field{Loc: []string{"query", name}, Msg: "is no parameter here", Type: "unknown"})
		}
	}
	for _, f := range b.fields {
		raw := query[f.name]
		if f.loc == "path" {
			raw = []string{r.PathValue(f.name)}
		}
		if msg, kind := setField(v.FieldByIndex(f.index), f.field, raw); msg != "" {
			wrong = append(wrong, fault.Field{Loc: []string{f.loc, f.name}, Msg: msg, Type: kind})
		}
	}
	e.filter = filterOf(r.URL.Path, query)
	if b.body != nil {
		bad, err := readBody(w, r, v.FieldByIndex(b.body))
		if err != nil {
			return nil, err
		}
		wrong = append(wrong, bad...)
	}
	if in, ok := in.(rawReader); ok && len(wrong) == 0 {
		if err := in.read(w, r, e); err != nil {
			return nil, err
		}
	}
	return b.check(v, e, wrong)
}

// check runs the checks; a field that is known to be wrong is not told twice.
func (b *binder) check(v reflect.Value, e env, wrong []fault.Field) ([]fault.Field, error) {
	run := func(check func(env) ([]fault.Field, error)) error {
		bad, err := check(e)
		for _, f := range bad {
			if !slices.ContainsFunc(wrong, func(g fault.Field) bool { return within(f.Loc, g.Loc) }) {
				wrong = append(wrong, f)
			}
		}
		return err
	}
	for _, index := range b.checkers {
		if err := run(v.FieldByIndex(index).Addr().Interface().(checker).check); err != nil {
			return nil, err
		}
	}
	if b.body != nil {
		if c, ok := v.FieldByIndex(b.body).Addr().Interface().(checker); ok {
			if err := run(c.check); err != nil {
				return nil, err
			}
		}
	}
	if c, ok := v.Addr().Interface().(inputChecker); ok {
		err := run(c.checkInput)
		return wrong, err
	}
	return wrong, nil
}

// within says whether loc is the place other, or in it, or around it.
func within(loc, other []string) bool {
	n := min(len(loc), len(other))
	return slices.Equal(loc[:n], other[:n])
}

// setField reads the values of one parameter into a field. Empty values are absent.
func setField(v reflect.Value, f reflect.StructField, raw []string) (msg, kind string) {
	var values []string
	for _, s := range raw {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return "must be UTF-8 text without NUL", "format"
		}
		if strings.TrimSpace(s) != "" {
			values = append(values, s)
		}
	}
	if len(values) == 0 {
		return "", ""
	}
	if p, ok := v.Addr().Interface().(param); ok {
		return p.set(values)
	}
	if len(values) > 1 {
		return "is given more than once", "repeated"
	}
	return setPlain(v, f, strings.TrimSpace(values[0]))
}

func setPlain(v reflect.Value, f reflect.StructField, s string) (msg, kind string) {
	switch v.Kind() {
	case reflect.String:
		if len(s) > 500 {
			return "must have 500 characters at most", "length"
		}
		v.SetString(s)
	case reflect.Bool:
		switch strings.ToLower(s) {
		case "true", "1":
			v.SetBool(true)
		case "false", "0":
		default:
			return "must be true or false", "bool"
		}
	case reflect.Int:
		n, err := strconv.Atoi(s)
		if err != nil {
			return "must be a whole number", "int"
		}
		if m, err := strconv.Atoi(f.Tag.Get("minimum")); err == nil && n < m {
			return "must be " + f.Tag.Get("minimum") + " or more", "range"
		}
		if m, err := strconv.Atoi(f.Tag.Get("maximum")); err == nil && n > m {
			return "must be " + f.Tag.Get("maximum") + " or less", "range"
		}
		v.SetInt(int64(n))
	default:
		panic("httpapi: a parameter cannot be a " + v.Type().String()) // at the first request of any test
	}
	return "", ""
}
