// Package simcheck validates HTTP traffic against the vendor's OpenAPI document of the CMP Open API:
// the requests of a client and the answers of a server, such as the simulator.
//
// The document is not part of this repository; tests that need it skip when it is absent (see
// ForTest). In a few places it cannot be satisfied as written. Load relaxes those, and nothing else.
package simcheck

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing/iotest"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// maxBody is the most that is read of a body, in bytes.
const maxBody = 64 << 20

// Checker validates requests and responses under /v3 at any host. It is safe for concurrent use.
type Checker struct {
	router routers.Router
}

// options leaves authentication to the server under test. Answers with a status that the document
// does not declare (429, 5xx) are not checked.
func options() *openapi3filter.Options {
	return &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		MultiError:         true,
	}
}

// Operation returns the operationId of a request, or "" when the document has none.
func (c *Checker) Operation(r *http.Request) string {
	route, _, err := c.router.FindRoute(r)
	if err != nil {
		return ""
	}
	return route.Operation.OperationID
}

// Request validates a request and leaves its body readable. A request for an operation that the
// document does not have is an error.
func (c *Checker) Request(r *http.Request) error {
	in, err := c.input(r)
	if err != nil {
		return err
	}
	if err := checkQuery(in); err != nil {
		return err
	}
	if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
		return fmt.Errorf("request %s %s: %w", r.Method, r.URL.Path, err)
	}
	return nil
}

func (c *Checker) input(r *http.Request) (*openapi3filter.RequestValidationInput, error) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return nil, fmt.Errorf("request %s %s: %w", r.Method, r.URL.Path, err)
	}
	return &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options()}, nil
}

// checkQuery returns an error for a query parameter that the operation does not declare. The API
// answers 400 to those.
func checkQuery(in *openapi3filter.RequestValidationInput) error {
	for name := range in.Request.URL.Query() {
		if in.Route.Operation.Parameters.GetByInAndName("query", name) == nil {
			return fmt.Errorf("request %s %s: undeclared query parameter %q", in.Request.Method, in.Request.URL.Path, name)
		}
	}
	return nil
}

// Response validates the answer to a request.
func (c *Checker) Response(ctx context.Context, r *http.Request, status int, header http.Header, body []byte) error {
	in, err := c.input(r)
	if err != nil {
		return err
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: status, Header: header, Options: options(),
	}
	out.SetBodyBytes(body)
	if err := openapi3filter.ValidateResponse(ctx, out); err != nil {
		return fmt.Errorf("response %d to %s %s: %w", status, r.Method, r.URL.Path, err)
	}
	return nil
}

// RoundTripper validates every request under /v3 before next sends it, and every answer before it is
// returned, and reports each violation. Traffic passes unchanged in either case. Other paths are not
// validated.
func (c *Checker) RoundTripper(next http.RoundTripper, report func(error)) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if !strings.HasPrefix(r.URL.Path, "/v3/") {
			return next.RoundTrip(r)
		}
		sent := r.Clone(r.Context())
		if r.Body != nil {
			b, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
			if err != nil {
				return nil, fmt.Errorf("read request body: %w", err)
			}
			_ = r.Body.Close() // read to its end
			r = r.Clone(r.Context())
			r.Body, sent.Body = io.NopCloser(bytes.NewReader(b)), io.NopCloser(bytes.NewReader(b))
		}
		if err := c.Request(sent); err != nil {
			report(err)
		}
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		return c.checkResponse(sent, resp, report), nil
	})
}

func (c *Checker) checkResponse(sent *http.Request, resp *http.Response, report func(error)) *http.Response {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close() // read to its end
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil { // an answer that was cut stays cut
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), iotest.ErrReader(err)))
		return resp
	}
	if c.Operation(sent) == "" {
		return resp
	}
	if err := c.Response(sent.Context(), sent, resp.StatusCode, resp.Header, body); err != nil {
		report(err)
	}
	return resp
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip is for http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
