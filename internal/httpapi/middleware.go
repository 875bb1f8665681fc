package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"monterey/internal/fault"
)

type requestIDKey struct{}

// requestID names the request in answers and in the log.
func requestID(r *http.Request) string {
	id, _ := r.Context().Value(requestIDKey{}).(string)
	return id
}

var sane = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// withRequestID takes the client's X-Request-ID, if it is fit for a log line, or makes one.
func withRequestID(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-ID")
		if !sane.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-ID", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

// recorder remembers what was answered. Flushing and deadlines reach the writer below through Unwrap.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// observe logs each request, tells who counts them, and makes a panic a 500. Aborting an answer that has begun
// (http.ErrAbortHandler) passes through, so that the client sees it cut off.
func observe(cfg Config, next http.Handler) http.Handler {
	log, now := cfg.Log, cfg.Now
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec, start := &recorder{ResponseWriter: w}, now()
		route := &routeName{}
		r = r.WithContext(context.WithValue(r.Context(), routeKey{}, route))
		defer func() {
			p := recover()
			if p != nil && p != http.ErrAbortHandler {
				err := fmt.Errorf("httpapi: panic: %v\n%s", p, debug.Stack())
				if rec.status == 0 {
					writeError(rec, r, log, err)
				} else {
					log.ErrorContext(r.Context(), "request failed", "request_id", requestID(r), "err", err)
					p = http.ErrAbortHandler
				}
			}
			took := now().Sub(start)
			if cfg.Observe != nil {
				cfg.Observe(route.name, r.Method, rec.status, took)
			}
			log.DebugContext(r.Context(), "request", "request_id", requestID(r), "method", r.Method, "path", r.URL.Path,
				"status", rec.status, "took", took)
			if p == http.ErrAbortHandler {
				panic(p)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// routeName is filled in by the operation that answers, for the metrics: paths themselves are too many.
type routeName struct{ name string }
type routeKey struct{}

func nameRoute(r *http.Request, name string) {
	if n, ok := r.Context().Value(routeKey{}).(*routeName); ok {
		n.name = name
	}
}

const corsMethods = "GET, HEAD, POST, PUT, DELETE, OPTIONS"

// cors lets pages of the origins read answers; "*" lets all. No cookies are involved, so no credentials are allowed.
func cors(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		h.Add("Vary", "Origin")
		allowed := origin != "" && (slices.Contains(origins, origin) || slices.Contains(origins, "*"))
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "Content-Disposition, Location, Retry-After, WWW-Authenticate, X-Request-ID")
		}
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			next.ServeHTTP(w, r)
			return
		}
		h.Add("Vary", "Access-Control-Request-Method")
		h.Add("Vary", "Access-Control-Request-Headers")
		if !allowed {
			writeError(w, r, slog.New(slog.DiscardHandler), fault.New(fault.Forbidden, "this origin is not allowed here (--cors-origin)"))
			return
		}
		h.Set("Access-Control-Allow-Methods", corsMethods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Accept, workspace_id, X-Workspace-ID, X-Request-ID")
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
}

// manners are headers that every answer has.
func manners(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "private, no-cache")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func trimSlash(p string) string { return strings.TrimSuffix(p, "/") }
