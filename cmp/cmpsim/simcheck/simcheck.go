// Package simcheck holds HTTP traffic against the vendor's OpenAPI document of
// the CMP Open API. It checks both sides: what a client asks and what a server
// (the simulator) answers.
//
// The document is not part of this repository; tests that need it skip when it is
// absent (see ForTest). In a few places it contradicts itself; Load settles those
// and says how, and nothing else is relaxed.
package simcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// maxBody bounds what is read of one body.
const maxBody = 64 << 20

// Checker validates requests and responses under /v3, whatever the host. It is
// safe for concurrent use.
type Checker struct {
	doc    *openapi3.T
	router routers.Router
}

// Load reads the document at path.
func Load(path string) (*Checker, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("load API document: %w", err)
	}
	if err := settle(doc); err != nil {
		return nil, fmt.Errorf("settle API document: %w", err)
	}
	doc.Servers = openapi3.Servers{{URL: "/v3"}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route API document: %w", err)
	}
	return &Checker{doc, router}, nil
}

// ForTest loads the document from ../shared/cmp/openapi.json beside the
// repository, and skips the test when it is not there.
func ForTest(tb testing.TB) *Checker {
	tb.Helper()
	path, err := find()
	if err != nil {
		tb.Skipf("the vendor's API document is not available: %v", err)
	}
	c, err := Load(path)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			path := filepath.Join(dir, "..", "shared", "cmp", "openapi.json")
			_, err := os.Stat(path)
			return path, err
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the test")
		}
		dir = parent
	}
}

// settle changes the document where it cannot be satisfied as written:
//
//   - GET /assets declares label and fields as arrays of objects in form style,
//     while their descriptions demand URL-encoded JSON and base64: they are taken
//     as texts.
//   - BaseAssetField forbids additional properties, and the field types with
//     choices or number formats are an allOf of it and of just those properties:
//     it allows them here.
func settle(doc *openapi3.T) error {
	list := doc.Paths.Find("/assets")
	if list == nil || list.Get == nil {
		return errors.New("no GET /assets")
	}
	for name, schema := range map[string]*openapi3.Schema{
		"label":  openapi3.NewArraySchema().WithItems(openapi3.NewStringSchema()),
		"fields": openapi3.NewStringSchema(),
	} {
		p := list.Get.Parameters.GetByInAndName("query", name)
		if p == nil {
			return fmt.Errorf("no parameter %s", name)
		}
		p.Schema = openapi3.NewSchemaRef("", schema)
	}
	base := doc.Components.Schemas["BaseAssetField"]
	if base == nil || base.Value == nil {
		return errors.New("no schema BaseAssetField")
	}
	base.Value.AdditionalProperties = openapi3.AdditionalProperties{}
	return nil
}

// options leave authentication to the server under test. Statuses that the
// document does not declare (429, 5xx) are not checked.
func options() *openapi3filter.Options {
	return &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
		MultiError:         true,
	}
}

// Operation returns the operationId of a request, empty when the document has
// none.
func (c *Checker) Operation(r *http.Request) string {
	route, _, err := c.router.FindRoute(r)
	if err != nil {
		return ""
	}
	return route.Operation.OperationID
}

// Request validates a request and leaves its body readable. A request to
// something the document does not know is an error.
func (c *Checker) Request(r *http.Request) error {
	in, err := c.input(r)
	if err != nil {
		return err
	}
	if err := c.knownQuery(in); err != nil {
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

// knownQuery refuses query parameters that the operation does not declare: the
// API answers those with 400.
func (c *Checker) knownQuery(in *openapi3filter.RequestValidationInput) error {
	for name := range in.Request.URL.Query() {
		if in.Route.Operation.Parameters.GetByInAndName("query", name) == nil {
			return fmt.Errorf("request %s %s: undeclared query parameter %q", in.Request.Method, in.Request.URL.Path, name)
		}
	}
	return nil
}

// Response validates an answer with its body to a request.
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

// RoundTripper validates every request under /v3 before it is sent by next, and
// every answer before it is returned, and reports what is wrong. Traffic is
// passed on either way; other paths are not looked at.
func (c *Checker) RoundTripper(next http.RoundTripper, report func(error)) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if len(r.URL.Path) < 4 || r.URL.Path[:4] != "/v3/" {
			return next.RoundTrip(r)
		}
		asked := r.Clone(r.Context())
		if r.Body != nil {
			b, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
			if err != nil {
				return nil, fmt.Errorf("read request body: %w", err)
			}
			_ = r.Body.Close() // it is read
			r = r.Clone(r.Context())
			r.Body, asked.Body = io.NopCloser(bytes.NewReader(b)), io.NopCloser(bytes.NewReader(b))
		}
		if err := c.Request(asked); err != nil {
			report(err)
		}
		resp, err := next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		return c.checkResponse(asked, resp, report), nil
	})
}

func (c *Checker) checkResponse(asked *http.Request, resp *http.Response, report func(error)) *http.Response {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	_ = resp.Body.Close()                                                           // it is read
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), endReader{err})) // a cut answer stays cut
	if err != nil || c.Operation(asked) == "" {
		return resp
	}
	if err := c.Response(asked.Context(), asked, resp.StatusCode, resp.Header, body); err != nil {
		report(err)
	}
	return resp
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip is for http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// endReader ends with err, or with io.EOF when that is nil.
type endReader struct{ err error }

// Read is for io.Reader.
func (e endReader) Read([]byte) (int, error) {
	if e.err == nil {
		return 0, io.EOF
	}
	return 0, e.err
}
