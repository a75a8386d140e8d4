package simcheck

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// Load reads the document at path and relaxes it; see relax.
func Load(path string) (*Checker, error) {
	doc, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		return nil, fmt.Errorf("load API document: %w", err)
	}
	if err := relax(doc); err != nil {
		return nil, fmt.Errorf("relax API document: %w", err)
	}
	doc.Servers = openapi3.Servers{{URL: "/v3"}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("route API document: %w", err)
	}
	return &Checker{router}, nil
}

// ForTest loads ../shared/cmp/openapi.json, relative to the root of the repository. It skips the test
// when there is no such file.
func ForTest(tb testing.TB) *Checker {
	tb.Helper()
	path, err := findDocument()
	if err != nil {
		tb.Skipf("the vendor's API document is not available: %v", err)
	}
	c, err := Load(path)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func findDocument() (string, error) {
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

// relax changes the document where it cannot be satisfied as written:
//
//   - GET /assets declares label and fields as arrays of objects in form style, but describes them as
//     URL-encoded JSON and base64. Here they are strings.
//   - BaseAssetField forbids additional properties, but the types of fields with choices or number
//     formats are an allOf of it and those very properties. Here it allows them.
func relax(doc *openapi3.T) error {
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
