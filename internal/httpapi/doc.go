// Package httpapi is the REST API: routes, wire types, problem documents and the OpenAPI document, which is made from the
// same declarations that serve. What the numbers mean belongs to the nouns; who a token is belongs to internal/auth.
//
// A request passes through
//
//	outermost  request id, panic → 500, log, metrics, CORS, Cache-Control        (middleware.go)
//	router     exact paths, 404, 405, slash redirects as problem documents       (router.go)
//	operation  who asks (rule) → parameters and body, all bad fields at once →   (operation.go, bind.go)
//	           the handler, which gets a workspace.Caller → JSON
//
// Every operation is declared with handle, which refuses one without a rule. A noun's operations and wire types are in a
// file of its own.
package httpapi
