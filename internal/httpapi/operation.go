package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// operation declares one method on one path.
type operation struct {
	ID, Method, Path, Tag string
	Summary, Description  string
	Rule                  rule
	Status                int   // of success; 0 = 200, or 204 where the answer is nothing
	Errors                []int // that the handler adds to those of the rule and the input
	WorkspaceInQuery      bool  // workspace_id may be in the query, where it overrides the header
	AnyQuery              bool  // unknown query parameters are ignored
}

// nothing is the answer of a deletion.
type nothing struct{}

// responder is an answer that writes itself instead of being JSON. An error before the first byte becomes a problem
// document; afterwards the connection is cut, so that a half file never looks whole.
type responder interface {
	respond(w http.ResponseWriter, r *http.Request) error
}

// located is an answer that may say where the thing it is about is served.
type located interface{ location() string }

// appender is an answer that writes its JSON itself, as json.Marshal would, in a fraction of its time.
type appender interface {
	appendJSON(b []byte) []byte
}

// contentTypes are told by a responder, for the document.
type contentTypes interface {
	contentTypes() map[string]*huma.MediaType
}

// handle declares an operation. I holds its input (see bind.go), O its answer: a wire type, nothing, or a responder.
func handle[I, O any](a *api, op operation, h func(context.Context, call, *I) (O, error)) {
	if op.Rule.kind == "" {
		panic("httpapi: " + op.ID + " has no rule") // at start-up, and in every test
	}
	var out O
	if _, none := any(out).(nothing); op.Status == 0 && none {
		op.Status = http.StatusNoContent
	} else if op.Status == 0 {
		op.Status = http.StatusOK
	}
	b := newBinder[I](a.huma.OpenAPI().Components.Schemas)
	doc := document[O](a, op, b)
	a.huma.OpenAPI().AddOperation(doc)
	a.huma.Adapter().Handle(doc, func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		nameRoute(r, op.ID)
		if err := serve(a, &op, b, h, w, r); err != nil {
			if rec, ok := w.(*recorder); ok && rec.status != 0 {
				a.Log.WarnContext(r.Context(), "answer cut off", "request_id", requestID(r), "operation", op.ID, "err", err)
				panic(http.ErrAbortHandler)
			}
			writeError(w, r, a.Log, err)
		}
	})
}

func serve[I, O any](a *api, op *operation, b *binder, h func(context.Context, call, *I) (O, error), w http.ResponseWriter, r *http.Request) error {
	c, bad, err := a.ask(r, op)
	if err != nil {
		return err
	}
	e := env{now: a.Now().UTC(), allowPrivate: a.AllowPrivateProviders, maxWebhook: a.MaxWebhookBytes, bodies: a.bodies, maxImport: a.MaxImportBytes,
		zone: func() (*time.Location, error) { return time.UTC, nil }}
	if c.Caller != (workspace.Caller{}) {
		e.zone = func() (*time.Location, error) { return a.zone(r.Context(), c.Caller) }
	}
	in := new(I)
	wrong, err := b.bind(in, w, r, op, e)
	if err != nil {
		return err
	}
	if err := fault.Fields(append(bad, wrong...)...); err != nil {
		return err
	}
	out, err := h(r.Context(), c, in)
	if err != nil {
		return err
	}
	return answer(w, r, op.Status, out)
}

func answer(w http.ResponseWriter, r *http.Request, status int, out any) error {
	switch out := out.(type) {
	case responder:
		return out.respond(w, r)
	case nothing:
		w.WriteHeader(status)
		return nil
	}
	if l, ok := out.(located); ok && l.location() != "" {
		w.Header().Set("Location", l.location())
	}
	body, err := marshal(out)
	if err != nil {
		return fmt.Errorf("httpapi: marshal the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client went away
	return nil
}

func marshal(out any) ([]byte, error) {
	if a, ok := out.(appender); ok {
		return a.appendJSON(nil), nil
	}
	return json.Marshal(out)
}

// zone is the caller's workspace's own; NotFound when there is no such workspace.
func (a *api) zone(ctx context.Context, c workspace.Caller) (*time.Location, error) {
	ws, err := a.workspaceNow(ctx, c)
	if err != nil {
		return nil, err
	}
	loc, err := time.LoadLocation(ws.Timezone)
	if err != nil {
		return nil, fmt.Errorf("httpapi: time zone of workspace %s: %w", ws.ID, err)
	}
	return loc, nil
}
