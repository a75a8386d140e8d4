package cmp

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"

	"damsync/internal/library"
)

// place is where to read an asset's detail.
type place struct {
	url  *url.URL
	kind string // asset type; empty when unknown
	self string // links.self to keep
}

// typePaths returns the path of each type's endpoint.
func typePaths() map[string]string {
	return map[string]string{
		library.TypeArticle:           "articles",
		library.TypeImage:             "images",
		library.TypeVideo:             "videos",
		library.TypeRawFile:           "raw-files",
		library.TypeStructuredContent: "structured-contents",
	}
}

// typeOfPath returns the asset type that the path of a link names, "" when unknown.
func typeOfPath(u *url.URL) string {
	segment := path.Base(path.Dir(strings.TrimRight(u.Path, "/")))
	for kind, p := range typePaths() {
		if p == segment {
			return kind
		}
	}
	return ""
}

// locate finds the URL of ref's detail. It trusts ref.Self only on the API host and
// with ref's own id; links to legacy hosts are rebuilt. The type in the link takes
// precedence over ref.Type.
func (c *Client) locate(ctx context.Context, op string, ref Ref) (place, error) {
	if at, ok := c.bySelf(ref); ok {
		return at, nil
	}
	if p, ok := typePaths()[ref.Type]; ok {
		u := c.endpoint(p, ref.ID)
		return place{url: u, kind: ref.Type, self: u.String()}, nil
	}
	return c.askLocation(ctx, op, ref)
}

func (c *Client) bySelf(ref Ref) (place, bool) {
	if ref.Self == "" {
		return place{}, false
	}
	u, err := c.link(ref.Self)
	if err != nil || !strings.HasPrefix(u.Path, c.api.Path+"/") || path.Base(u.Path) != ref.ID {
		return place{}, false
	}
	kind := typeOfPath(u)
	if kind == "" && path.Dir(u.Path) == c.api.Path+"/assets" {
		return place{}, false // links.asset may be /assets/{id}, which has no GET
	}
	return place{url: u, kind: cmp.Or(kind, ref.Type), self: ref.Self}, true
}

// askLocation uses GET /asset-urls/{id}, which answers 302 with the asset's URL. An
// asset of a task is not in the library: ErrNotFound.
func (c *Client) askLocation(ctx context.Context, op string, ref Ref) (place, error) {
	r, err := c.redirect(ctx, op, c.endpoint("asset-urls", ref.ID))
	if err != nil {
		return place{}, err
	}
	if r.header.Get("X-Resource-Location") == "task" {
		return place{}, &APIError{Op: op, Status: http.StatusNotFound, Message: "it belongs to a task, not to the library", class: ErrNotFound}
	}
	location := r.header.Get("Location")
	u, err := url.Parse(location)
	if err != nil || location == "" {
		return place{}, fmt.Errorf("%s: %w: redirect without a location", op, ErrBadResponse)
	}
	kind := cmp.Or(typeOfPath(u), ref.Type)
	if at, ok := c.bySelf(Ref{ID: ref.ID, Type: kind, Self: location}); ok {
		return at, nil
	}
	if p, ok := typePaths()[kind]; ok {
		rebuilt := c.endpoint(p, ref.ID)
		return place{url: rebuilt, kind: kind, self: rebuilt.String()}, nil
	}
	return place{}, fmt.Errorf("%s: %w: %s", op, ErrForeignHost, origin(u))
}
