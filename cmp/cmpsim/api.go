package cmpsim

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// apiHost answers the Open API.
type apiHost struct {
	lib      *Library
	accounts *accounts
	gzips    sync.Pool // of *gzip.Writer
}

// operation is one operation of the vendor's document.
type operation struct {
	id      string // operationId
	pattern string
	params  []string // the query parameters it accepts
	run     func(*call) (reply, error)
}

// call is one request to an operation.
type call struct {
	r     *http.Request
	query url.Values
}

func (c *call) id() string { return c.r.PathValue("id") }

// reply is what an operation answers when it succeeds.
type reply struct {
	status int
	body   any // encoded as JSON; nil means no body
	header http.Header
}

func (h *apiHost) operations() []operation {
	paging := []string{"offset", "page_size"}
	ops := []operation{
		{"listAssets", "GET /v3/assets", append(assetParams(), paging...), h.listAssets},
		{"listAssetFields", "GET /v3/assets/{id}/fields", paging, h.listAssetFields},
		{"listAssetRenditions", "GET /v3/assets/{id}/renditions", nil, h.listNothing},
		{"listRelatedAssets", "GET /v3/assets/{id}/related-assets", paging, h.listNothing},
		{"getAssetUrl", "GET /v3/asset-urls/{id}", nil, h.getAssetURL},
		{"createFileUrls", "POST /v3/file-urls", nil, h.createFileURLs},
		{"listFolders", "GET /v3/folders", append([]string{"parent_folder_id"}, paging...), h.listFolders},
		{"getFolder", "GET /v3/folders/{id}", nil, h.getFolder},
		{"createFolder", "POST /v3/folders", nil, h.createFolder},
		{"updateFolder", "PATCH /v3/folders/{id}", nil, h.updateFolder},
		{"deleteFolder", "DELETE /v3/folders/{id}", nil, h.deleteFolder},
		{"listLabelGroups", "GET /v3/label-groups", append([]string{"source_org_type"}, paging...), h.listLabelGroups},
		{"listFields", "GET /v3/fields", append([]string{"ids"}, paging...), h.listFields},
	}
	for k := kindImage; k <= kindStructured; k++ {
		ops = append(ops, h.operationsOn(k)...)
	}
	return ops
}

// operationsOn returns the operations on one asset of kind k. The API can neither change nor delete
// articles, nor delete structured contents (facts.md 4.5); changing those is not simulated.
func (h *apiHost) operationsOn(k kind) []operation {
	schema, path := k.info().schema, " /v3/"+k.info().path+"/{id}"
	ops := []operation{
		{"get" + schema, "GET" + path, nil, func(c *call) (reply, error) { return h.getAsset(c, k) }},
	}
	if k.isFile() {
		ops = append(ops,
			operation{"update" + schema, "PATCH" + path, nil, func(c *call) (reply, error) { return h.patchAsset(c, k) }},
			operation{"delete" + schema, "DELETE" + path, nil, func(c *call) (reply, error) { return h.deleteAsset(c, k) }})
	}
	return ops
}

// mux returns the host's handler and the operation ids by pattern.
func (h *apiHost) mux() (mux *http.ServeMux, ids map[string]string) {
	mux, ids = http.NewServeMux(), map[string]string{}
	for _, op := range h.operations() {
		ids[op.pattern] = op.id
		mux.HandleFunc(op.pattern, h.authorized(h.serve(op)))
	}
	ids["/"] = "unknown"
	mux.HandleFunc("/", h.authorized(answerNotFound))
	return mux, ids
}

func (h *apiHost) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.accounts.accessValid(bearer(r)) {
			writeError(w, http.StatusUnauthorized, msgUnauthorized)
			return
		}
		next(w, r)
	}
}

func (h *apiHost) serve(op operation) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			writeError(w, http.StatusBadRequest, "Malformed query string")
			return
		}
		if unknown := op.unknownParams(query); len(unknown) > 0 {
			writeError(w, http.StatusBadRequest, "Unsupported arguments: "+strings.Join(unknown, ","))
			return
		}
		out, err := op.run(&call{r, query})
		if err != nil {
			writeFailure(w, err)
			return
		}
		h.write(w, r, out)
	}
}

// unknownParams returns the parameters that the operation does not accept; the API answers 400 and
// names them (facts.md 4.1).
func (op operation) unknownParams(query url.Values) []string {
	var unknown []string
	for name := range query {
		if !slices.Contains(op.params, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	return unknown
}
