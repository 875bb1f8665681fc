package httpapi

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"monterey/internal/recipient"
)

// maxValues of one parameter.
const maxValues = 500

// split takes repeated and comma-separated values apart; empty ones are absent.
func split(raw []string) []string {
	var out []string
	for _, s := range raw {
		for part := range strings.SplitSeq(s, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

// pathID is an id in a path. It converts to every typed id.
type pathID struct{ uuid.UUID }

func (p *pathID) set(raw []string) (msg, kind string) {
	id, ok := parseUUID(raw[0])
	if !ok {
		return "must be an id (a UUID)", "uuid"
	}
	p.UUID = id
	return "", ""
}

// UnmarshalJSON reads an id in a body.
func (p *pathID) UnmarshalJSON(b []byte) error {
	id, ok := parseUUID(strings.Trim(string(b), `"`))
	if !ok {
		return errors.New("must be an id (a UUID)")
	}
	p.UUID = id
	return nil
}

func (pathID) Schema(huma.Registry) *huma.Schema { return idSchema() }

func idSchema() *huma.Schema { return &huma.Schema{Type: huma.TypeString, Format: "uuid"} }

// idList are ids, any of which may match.
type idList []uuid.UUID

func (l *idList) set(raw []string) (msg, kind string) {
	values := split(raw)
	if len(values) > maxValues {
		return fmt.Sprintf("must have %d values at most", maxValues), "length"
	}
	for _, s := range values {
		id, ok := parseUUID(s)
		if !ok {
			return fmt.Sprintf("%q is not an id (a UUID)", clip(s)), "uuid"
		}
		*l = append(*l, id)
	}
	return "", ""
}

func (idList) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: idSchema()}
}

// idsAs makes typed ids of a list.
func idsAs[T ~struct{ uuid.UUID }](l idList) []T {
	var out []T
	for _, id := range l {
		out = append(out, T(struct{ uuid.UUID }{id}))
	}
	return out
}

// textList are texts, any of which may match exactly.
type textList []string

func (l *textList) set(raw []string) (msg, kind string) {
	*l = split(raw)
	if len(*l) > maxValues {
		return fmt.Sprintf("must have %d values at most", maxValues), "length"
	}
	return "", ""
}

func (textList) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}
}

// addressList are e-mail addresses, normalised. A blank inside one is a "+" that was not encoded.
type addressList []string

func (l *addressList) set(raw []string) (msg, kind string) {
	values := split(raw)
	if len(values) > maxValues {
		return fmt.Sprintf("must have %d values at most", maxValues), "length"
	}
	for _, s := range values {
		s = recipient.Normalise(strings.ReplaceAll(s, " ", "+"))
		if at := strings.LastIndexByte(s, '@'); at < 1 || at == len(s)-1 || len(s) > 320 {
			return fmt.Sprintf("%q is not an e-mail address", clip(s)), "email"
		}
		*l = append(*l, s)
	}
	return "", ""
}

func (addressList) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString, Format: "email"}}
}

// domain lists the values of an enum.
type domain[T fmt.Stringer] interface{ all() []T }

// enumList are values of an enum, any of which may match; case is ignored.
type enumList[T fmt.Stringer, D domain[T]] []T

func (l *enumList[T, D]) set(raw []string) (msg, kind string) {
	var d D
	all := d.all()
	for _, s := range split(raw) {
		i := slices.IndexFunc(all, func(v T) bool { return strings.EqualFold(v.String(), s) })
		if i < 0 {
			return fmt.Sprintf("%q is none of: %s", clip(s), strings.Join(names(all), ", ")), "enum"
		}
		if len(*l) < maxValues {
			*l = append(*l, all[i])
		}
	}
	return "", ""
}

func (enumList[T, D]) Schema(huma.Registry) *huma.Schema {
	var d D
	return &huma.Schema{Type: huma.TypeArray, Items: enumSchema(names(d.all())...)}
}

func names[T fmt.Stringer](all []T) []string {
	var out []string
	for _, v := range all {
		out = append(out, v.String())
	}
	return out
}

func enumSchema(values ...string) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

// choice is one value of a few; case is ignored.
type choice interface{ choices() []string }

// oneOf is a parameter with one value out of a few; "" = not given.
type oneOf[C choice] string

func (o *oneOf[C]) set(raw []string) (msg, kind string) {
	var c C
	if len(raw) > 1 {
		return "is given more than once", "repeated"
	}
	s := strings.ToLower(strings.TrimSpace(raw[0]))
	if !slices.Contains(c.choices(), s) {
		return fmt.Sprintf("%q is none of: %s", clip(s), strings.Join(c.choices(), ", ")), "enum"
	}
	*o = oneOf[C](s)
	return "", ""
}

func (oneOf[C]) Schema(huma.Registry) *huma.Schema {
	var c C
	return enumSchema(c.choices()...)
}

// clip shortens what is shown of a wrong value.
func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
