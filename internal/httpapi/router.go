package httpapi

import (
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"

	"monterey/internal/fault"
)

// router is a ServeMux whose patterns are exact and whose own answers (not found, wrong method, redirects) are problem
// documents. A path that ends in "/" is also known without it, where it redirects (307); one that does not also answers
// with it. It is the Mux of huma's adapter, which hands it patterns as "GET /campaigns/{id}".
type router struct {
	mux     *http.ServeMux
	literal map[string][]string // path without parameters, without trailing slash → methods
	twin    map[string]bool     // redirects that are set up
	log     *slog.Logger
}

func newRouter(log *slog.Logger) *router {
	return &router{mux: http.NewServeMux(), literal: map[string][]string{}, twin: map[string]bool{}, log: log}
}

// HandleFunc registers a pattern "METHOD /path".
func (rt *router) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	method, p, _ := strings.Cut(pattern, " ")
	if !strings.Contains(p, "{") {
		methods := append(rt.literal[trimSlash(p)], method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		slices.Sort(methods)
		rt.literal[trimSlash(p)] = methods
	}
	if !strings.HasSuffix(p, "/") {
		rt.mux.HandleFunc(method+" "+p, h)
		rt.mux.HandleFunc(method+" "+p+"/{$}", h)
		return
	}
	rt.mux.HandleFunc(method+" "+p+"{$}", h)
	if !rt.twin[p] {
		rt.twin[p] = true
		rt.mux.HandleFunc(trimSlash(p), redirect)
	}
}

// redirect sends the client from a listing's path without slash to the one with it.
func redirect(w http.ResponseWriter, r *http.Request) {
	to := r.URL.EscapedPath() + "/"
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	nameRoute(r, "redirect")
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func (rt *router) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p := r.URL.Path; p == "" || p[0] != '/' || trimSlash(path.Clean(p)) != trimSlash(p) {
		rt.notFound(w, r) // "//" and ".." would be redirected by ServeMux
		return
	}
	// /campaign-events/webhook is not an event: the wrong method on it must not be taken for {id}.
	if methods, ok := rt.literal[trimSlash(r.URL.Path)]; ok && !slices.Contains(methods, r.Method) && !rt.twin[r.URL.Path+"/"] {
		rt.wrongMethod(w, r, strings.Join(methods, ", "))
		return
	}
	h, pattern := rt.mux.Handler(r)
	if pattern != "" {
		rt.mux.ServeHTTP(w, r)
		return
	}
	var ask header
	h.ServeHTTP(&ask, r)
	if allow := ask.Header().Get("Allow"); allow != "" {
		rt.wrongMethod(w, r, allow)
		return
	}
	rt.notFound(w, r)
}

func (rt *router) notFound(w http.ResponseWriter, r *http.Request) {
	writeError(w, r, rt.log, fault.New(fault.NotFound, "there is nothing at this path"))
}

func (rt *router) wrongMethod(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	writeProblem(w, r, problem{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed", Detail: "this path knows " + allow})
}

// header keeps the headers of an answer and drops the rest.
type header struct{ h http.Header }

func (h *header) Header() http.Header {
	if h.h == nil {
		h.h = http.Header{}
	}
	return h.h
}
func (h *header) Write(b []byte) (int, error) { return len(b), nil }
func (h *header) WriteHeader(int)             {}
