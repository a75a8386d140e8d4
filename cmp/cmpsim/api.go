package cmpsim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// route is one operation of the document.
type route struct {
	op      string // operationId
	pattern string
	params  []string // query parameters it takes
	serve   func(*call)
}

// call is one request on its way through an operation.
type call struct {
	w http.ResponseWriter
	r *http.Request
	q url.Values
}

func (c *call) id() string { return c.r.PathValue("id") }

func (s *Simulator) routes() []route {
	paging := []string{"offset", "page_size"}
	rs := []route{
		{"listAssets", "GET /v3/assets", append(assetParams(), paging...), s.listAssets},
		{"listAssetFields", "GET /v3/assets/{id}/fields", paging, s.listAssetFields},
		{"listAssetRenditions", "GET /v3/assets/{id}/renditions", nil, s.listNothing},
		{"listRelatedAssets", "GET /v3/assets/{id}/related-assets", paging, s.listNothing},
		{"getAssetUrl", "GET /v3/asset-urls/{id}", nil, s.getAssetURL},
		{"createFileUrls", "POST /v3/file-urls", nil, s.createFileURLs},
		{"listFolders", "GET /v3/folders", append([]string{"parent_folder_id"}, paging...), s.listFolders},
		{"getFolder", "GET /v3/folders/{id}", nil, s.getFolder},
		{"createFolder", "POST /v3/folders", nil, s.createFolder},
		{"updateFolder", "PATCH /v3/folders/{id}", nil, s.updateFolder},
		{"deleteFolder", "DELETE /v3/folders/{id}", nil, s.deleteFolder},
		{"listLabelGroups", "GET /v3/label-groups", append([]string{"source_org_type"}, paging...), s.listLabelGroups},
		{"listFields", "GET /v3/fields", append([]string{"ids"}, paging...), s.listFields},
	}
	return append(rs, s.typedRoutes()...)
}

// typedRoutes are the operations on one asset, by type. Articles and structured
// contents cannot be deleted by the API, and articles not changed; changing
// structured contents is not simulated.
func (s *Simulator) typedRoutes() []route {
	names := map[kind]string{
		kindImage: "Image", kindVideo: "Video", kindRawFile: "RawFile",
		kindArticle: "Article", kindStructured: "StructuredContent",
	}
	var rs []route
	for k := kindImage; k <= kindStructured; k++ {
		path := " /v3/" + k.about().path + "/{id}"
		rs = append(rs, route{"get" + names[k], "GET" + path, nil, func(c *call) { s.getDetail(c, k) }})
		if k.isFile() {
			rs = append(rs,
				route{"update" + names[k], "PATCH" + path, nil, func(c *call) { s.patchAsset(c, k) }},
				route{"delete" + names[k], "DELETE" + path, nil, func(c *call) { s.removeAsset(c, k) }})
		}
	}
	return rs
}

func (s *Simulator) apiHandler() http.Handler {
	mux := http.NewServeMux()
	ops := map[string]string{}
	for _, rt := range s.routes() {
		ops[rt.pattern] = rt.op
		mux.Handle(rt.pattern, rt.handler())
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, msgNotFound)
	})
	operation := func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		if op, ok := ops[pattern]; ok {
			return op
		}
		return "unknown"
	}
	inner := s.injectFaults(hostAPI, compress(s.authorize(mux)))
	return s.record(hostAPI, operation, s.limit(inner))
}

func (s *Simulator) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.accounts.accessValid(bearer(r)) {
			writeError(w, http.StatusUnauthorized, msgUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// handler refuses query parameters the operation does not take, as documented.
func (rt route) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			writeError(w, http.StatusBadRequest, "Malformed query string")
			return
		}
		var unknown []string
		for name := range q {
			if !slices.Contains(rt.params, name) {
				unknown = append(unknown, name)
			}
		}
		if len(unknown) > 0 {
			slices.Sort(unknown)
			writeError(w, http.StatusBadRequest, "Unsupported arguments: "+strings.Join(unknown, ","))
			return
		}
		rt.serve(&call{w, r, q})
	})
}
