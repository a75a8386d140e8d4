package cmpsim

import (
	"net/http"
)

// listAssets pages over the live list, newest modified_at first: the list may move between two pages
// (facts.md 4.1).
func (h *apiHost) listAssets(c *call) (reply, error) {
	w, err := parseWindow(c.query)
	if err != nil {
		return reply{}, err
	}
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	f, err := h.lib.catalog.parseFilter(c.query, h.lib.behavior.ExclusiveTimes)
	if err != nil {
		return reply{}, err
	}
	total, found := h.lib.catalog.find(f, w)
	out := page[assetRow]{
		Data: make([]assetRow, 0, len(found)), TotalCount: &total,
		Pagination: w.links(h.lib.site.api+"/assets", c.query, total),
	}
	render := h.lib.newRenderer()
	for _, a := range found {
		out.Data = append(out.Data, render.rowJSON(a))
	}
	return reply{status: http.StatusOK, body: out}, nil
}

// getAsset answers at the path of the asset's own type only.
func (h *apiHost) getAsset(c *call, k kind) (reply, error) {
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	a, err := h.lib.catalog.live(c.id())
	if err != nil || a.kind != k {
		return reply{}, errNoResource
	}
	return reply{status: http.StatusOK, body: h.lib.newRenderer().detailJSON(a)}, nil
}

// getAssetURL redirects to the detail of an asset (facts.md 4.2).
func (h *apiHost) getAssetURL(c *call) (reply, error) {
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	a, err := h.lib.catalog.live(c.id())
	if err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusFound, header: http.Header{
		"Location": {h.lib.site.self(a)}, "X-Resource-Location": {"library"},
	}}, nil
}

// createFileURLs answers fresh download URLs, and null for ids without a file (facts.md 4.8).
func (h *apiHost) createFileURLs(c *call) (reply, error) {
	var body struct {
		GUIDs []string `json:"guids"`
	}
	if err := decodeStrict(c.r, maxBody, &body); err != nil || len(body.GUIDs) == 0 {
		return reply{}, &paramError{"guids", "must be a list of at least one id"}
	}
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	render := h.lib.newRenderer()
	urls := map[string]any{}
	for _, id := range body.GUIDs {
		urls[id] = nil
		if a, err := h.lib.catalog.live(id); err == nil && a.kind.isFile() {
			urls[id] = render.download(a, render.expires)
		}
	}
	return reply{status: http.StatusOK, body: map[string]any{"urls": urls}}, nil
}

// listNothing answers an empty list: the library has no renditions and no related assets.
func (h *apiHost) listNothing(c *call) (reply, error) {
	h.lib.mu.RLock()
	defer h.lib.mu.RUnlock()
	if _, err := h.lib.catalog.live(c.id()); err != nil {
		return reply{}, err
	}
	return pageOf(c, h.lib.site.api, []any{})
}

// deleteAsset answers 204, but 200 for raw files (facts.md 4.5).
func (h *apiHost) deleteAsset(c *call, k kind) (reply, error) {
	err := h.lib.change(c.id(), func(a *asset) error {
		if a.kind != k {
			return errNoResource
		}
		h.lib.trash(a, false)
		return nil
	})
	if k == kindRawFile {
		return reply{status: http.StatusOK}, err
	}
	return reply{status: http.StatusNoContent}, err
}
