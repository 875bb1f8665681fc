package httpapi

import (
	"context"
	_ "embed"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"monterey/internal/fault"
)

//go:embed docs.html
var docsPage []byte

func (a *api) systemRoutes() {
	handle(a, operation{ID: "healthz", Method: http.MethodGet, Path: "/healthz", Tag: "System", Rule: public, AnyQuery: true,
		Summary: "Whether the process is alive"}, a.healthz)
	handle(a, operation{ID: "readyz", Method: http.MethodGet, Path: "/readyz", Tag: "System", Rule: public, AnyQuery: true,
		Summary: "Whether the database is reachable and migrated"}, a.readyz)
	handle(a, operation{ID: "openapi", Method: http.MethodGet, Path: "/openapi.json", Tag: "System", Rule: public, AnyQuery: true,
		Summary: "This document"}, a.openapi)
	handle(a, operation{ID: "docs", Method: http.MethodGet, Path: "/docs", Tag: "System", Rule: public, AnyQuery: true,
		Summary: "This document, to read"}, a.docs)
}

type statusWire struct {
	Status string `json:"status" enum:"ok" example:"ok"`
}

func (a *api) healthz(context.Context, call, *struct{}) (statusWire, error) {
	return statusWire{Status: "ok"}, nil
}

// readyTimeout bounds a check, so that who asks every few seconds is answered.
const readyTimeout = 3 * time.Second

func (a *api) readyz(ctx context.Context, _ call, _ *struct{}) (statusWire, error) {
	if a.Ready != nil {
		ctx, cancel := context.WithTimeout(ctx, readyTimeout)
		defer cancel()
		if err := a.Ready(ctx); err != nil {
			return statusWire{}, fault.Wrap(fault.Unavailable, err, "not ready")
		}
	}
	return statusWire{Status: "ok"}, nil
}

// file is an answer of bytes.
type file struct {
	contentType string
	body        []byte
	policy      string // Content-Security-Policy
}

func (f file) respond(w http.ResponseWriter, _ *http.Request) error {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	if f.policy != "" {
		h.Set("Content-Security-Policy", f.policy)
	}
	_, _ = w.Write(f.body) // the client went away
	return nil
}

type jsonFile struct{ file }

func (jsonFile) contentTypes() map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: huma.TypeObject}}}
}

type htmlFile struct{ file }

func (htmlFile) contentTypes() map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"text/html": {Schema: &huma.Schema{Type: huma.TypeString}}}
}

func (a *api) openapi(context.Context, call, *struct{}) (jsonFile, error) {
	return jsonFile{file{contentType: "application/json", body: a.document}}, a.documentErr
}

func (a *api) docs(context.Context, call, *struct{}) (htmlFile, error) {
	return htmlFile{file{contentType: "text/html; charset=utf-8", body: docsPage,
		policy: "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'"}}, nil
}
