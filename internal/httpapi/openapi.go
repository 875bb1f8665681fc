package httpapi

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"monterey/internal/fault"
)

const description = `Monterey keeps every event of your e-mail campaigns and answers how each campaign is doing.

Send ` + "`Authorization: Bearer <token>`" + ` with an API key and ` + "`workspace_id: <uuid>`" + ` (or ` + "`X-Workspace-ID`" + `); a key of one workspace may omit the latter.
Times are RFC 3339, in answers UTC. A range is half-open; a plain date means that day in the time zone asked for, and a plain ` + "`date_to`" + ` includes its day.
Filters may be repeated or comma-separated. Errors are problem documents (RFC 9457) that name every bad field.`

// newHuma makes the OpenAPI document's frame. Of huma the schemas, the document and the adapter are used; reading
// parameters and bodies is bind.go's, because the contract differs from huma's rules in nearly every point.
func newHuma(rt *router, version string) huma.API {
	cfg := huma.Config{OpenAPI: &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Monterey", Version: version, Description: description},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer", Description: "An API key (mk_…)"},
			},
		},
		Security: []map[string][]string{{"bearer": {}}},
	}}
	cfg.AllowAdditionalPropertiesByDefault = true
	return humago.New(rt, cfg)
}

// schemaName is the name of a wire type in the document: campaignWire is Campaign, a list of them CampaignList.
func schemaName(t reflect.Type, hint string) string {
	name := strings.ReplaceAll(huma.DefaultSchemaNamer(t, hint), "Wire", "")
	for _, prefix := range []string{"ListOf", "Changes"} {
		if item, ok := strings.CutPrefix(name, prefix); ok {
			return item + "List"
		}
	}
	return name
}

// document makes an operation's part of the OpenAPI document.
func document[O any](a *api, op operation, b *binder) *huma.Operation {
	reg := a.huma.OpenAPI().Components.Schemas
	d := &huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: op.Path, Tags: []string{op.Tag}, Summary: op.Summary,
		Description: op.Description, Parameters: slices.Clone(b.params), Responses: map[string]*huma.Response{},
		Extensions: map[string]any{"x-access": op.Rule.kind},
	}
	if op.Rule.kind == public.kind {
		d.Security = []map[string][]string{{}}
	}
	if op.WorkspaceInQuery {
		d.Parameters = append(d.Parameters, &huma.Param{Name: "workspace_id", In: "query", Schema: idSchema(),
			Description: "A workspace you belong to; overrides the header"})
	}
	if op.Rule.role != "" {
		d.Parameters = append(d.Parameters, &huma.Param{Name: "workspace_id", In: "header", Schema: idSchema(),
			Description: "The workspace; also accepted as X-Workspace-ID. An API key of one workspace may omit it"})
	}
	if b.body != nil {
		d.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{
			"application/json": {Schema: reg.Schema(b.bodyType, true, op.ID+"Body")},
		}}
	}
	d.Responses[strconv.Itoa(op.Status)] = success[O](reg, op)
	for _, status := range errorsOf(op, b) {
		d.Responses[strconv.Itoa(status)] = failure(a.huma.OpenAPI(), status)
	}
	return d
}

func success[O any](reg huma.Registry, op operation) *huma.Response {
	var out O
	resp := &huma.Response{Description: http.StatusText(op.Status)}
	switch out := any(out).(type) {
	case nothing:
	case contentTypes:
		resp.Content = out.contentTypes()
	default:
		resp.Content = map[string]*huma.MediaType{"application/json": {Schema: reg.Schema(reflect.TypeFor[O](), true, op.ID+"Answer")}}
	}
	return resp
}

// errorsOf are all statuses that an operation can fail with.
func errorsOf(op operation, b *binder) []int {
	all := append([]int{http.StatusInternalServerError, http.StatusServiceUnavailable}, op.Errors...)
	if !op.AnyQuery {
		all = append(all, http.StatusUnprocessableEntity)
	}
	if op.Rule.kind != public.kind {
		all = append(all, http.StatusUnauthorized)
	}
	if op.Rule.role != "" || op.Rule.kind == platformAdmin.kind {
		all = append(all, http.StatusForbidden)
	}
	if op.Rule.role != "" || strings.Contains(op.Path, "{") {
		all = append(all, http.StatusNotFound)
	}
	if b.body != nil {
		all = append(all, http.StatusBadRequest, http.StatusRequestEntityTooLarge)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// failure refers to what all operations say of a status.
func failure(doc *huma.OpenAPI, status int) *huma.Response {
	name := strings.ReplaceAll(http.StatusText(status), " ", "")
	if doc.Components.Responses == nil {
		doc.Components.Responses = map[string]*huma.Response{}
	}
	if doc.Components.Responses[name] == nil {
		doc.Components.Responses[name] = failed(doc.Components.Schemas, status)
	}
	return &huma.Response{Ref: "#/components/responses/" + name}
}

func failed(reg huma.Registry, status int) *huma.Response {
	example := problem{Type: "about:blank", Title: http.StatusText(status), Status: status, RequestID: "7Q2MZ6V4K3N5"}
	for code, s := range statusOf {
		if s == status && code != fault.Data {
			example.Code, example.Detail = string(code), exampleDetails[code]
		}
	}
	if status == http.StatusUnprocessableEntity {
		example.Errors = []problemField{{Loc: []string{"query", "granularity"}, Msg: `"year" is none of: hour, day, week, month`, Type: "enum"}}
	}
	r := &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{
		"application/problem+json": {Schema: reg.Schema(reflect.TypeFor[problem](), true, ""), Example: example}}}
	switch status {
	case http.StatusServiceUnavailable:
		r.Headers = map[string]*huma.Param{"Retry-After": {Description: "Seconds to wait", Schema: &huma.Schema{Type: huma.TypeInteger}}}
	case http.StatusUnauthorized:
		r.Headers = map[string]*huma.Param{"WWW-Authenticate": {Schema: &huma.Schema{Type: huma.TypeString}}}
	}
	return r
}

var exampleDetails = map[fault.Code]string{
	fault.Invalid: "some fields are not valid", fault.Malformed: "the body is not valid JSON",
	fault.Unauthorized: "the bearer token is unknown, expired or revoked", fault.Forbidden: "this needs the role editor; you are viewer",
	fault.NotFound: "there is no such campaign", fault.Conflict: "another campaign has this id at the provider",
	fault.TooLarge: "the body is larger than 4194304 bytes", fault.Unavailable: "the store cannot take it now",
	fault.Internal: "internal error; the log knows it as request 7Q2MZ6V4K3N5",
}

// finish makes the document say what is so: lists are never null, and an enum that may be null says null.
func finish(s *huma.Schema) {
	if s == nil {
		return
	}
	if s.Type == huma.TypeArray {
		s.Nullable = false
	}
	if s.Nullable && s.Enum != nil && !slices.Contains(s.Enum, nil) {
		s.Enum = append(s.Enum, nil)
	}
	s.AdditionalProperties = nil // true is what JSON Schema takes for granted
	finish(s.Items)
	for _, p := range s.Properties {
		finish(p)
	}
}

// orNull makes a property that is an object also take null.
func orNull(s *huma.Schema, name string) {
	p := s.Properties[name]
	s.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: p.Ref}, {Type: "null"}}, Description: p.Description}
}

// OpenAPI is the OpenAPI 3.1 document of this release, indented. It needs no stores.
func OpenAPI() ([]byte, error) {
	a := newAPI(Config{})
	return a.document, a.documentErr
}

func (a *api) writeDocument() {
	for _, s := range a.huma.OpenAPI().Components.Schemas.Map() {
		finish(s)
	}
	a.document, a.documentErr = json.MarshalIndent(a.huma.OpenAPI(), "", "  ")
}
