package cmpsim

import (
	"encoding/json"
	"html"
	"net/http"
)

type namedJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type labelJSON struct {
	Group  namedJSON   `json:"group"`
	Values []namedJSON `json:"values"`
}

func namedList(values []*named) []namedJSON {
	out := make([]namedJSON, 0, len(values))
	for _, v := range values {
		out = append(out, namedJSON{v.id, v.name})
	}
	return out
}

func labelsJSON(picks []pick) []labelJSON {
	out := make([]labelJSON, 0, len(picks))
	for _, p := range picks {
		out = append(out, labelJSON{namedJSON{p.group.id, p.group.name}, namedList(p.values)})
	}
	return out
}

func (s *Simulator) selfURL(a *asset) string {
	return s.urls.APIURL + "/" + a.kind.about().path + "/" + a.id
}

// contentValue is the article's body, the API URL of structured content, or a
// fresh download URL.
func (s *Simulator) contentValue(a *asset, expires int64) string {
	switch a.kind {
	case kindArticle:
		return articleBody(a)
	case kindStructured:
		return s.selfURL(a)
	default:
		return s.downloadURL(a, expires)
	}
}

func articleBody(a *asset) string {
	return "<p>" + html.EscapeString(a.title) + ", version " + itoa(int64(a.version)) + "</p>"
}

func (s *Simulator) downloadURL(a *asset, expires int64) string {
	u := s.urls.FilesURL + "/download/" + a.id
	if a.public {
		return u
	}
	return u + "?token=" + s.signer.download(a.id, expires)
}

func (s *Simulator) thumbnailURL(a *asset) string {
	if a.kind != kindImage {
		return ""
	}
	return s.urls.FilesURL + "/thumbnails/" + a.id
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func nullableTime(unix int64) any {
	if unix == 0 {
		return nil
	}
	return stamp(unix)
}

// getDetail answers the type's own endpoint; an id of another type is not found
// there.
func (s *Simulator) getDetail(c *call, k kind) {
	s.mu.RLock()
	a, ok := s.lib.live(c.id())
	if !ok || a.kind != k {
		s.mu.RUnlock()
		writeError(c.w, http.StatusNotFound, msgNotFound)
		return
	}
	body, err := json.Marshal(s.detailJSON(a))
	s.mu.RUnlock()
	if err != nil {
		writeError(c.w, http.StatusInternalServerError, "cannot encode the answer")
		return
	}
	writeRaw(c.w, http.StatusOK, body)
}

func (s *Simulator) detailJSON(a *asset) map[string]any {
	m := map[string]any{
		"id": a.id, "title": a.title,
		"created_at": stamp(a.created), "modified_at": stamp(a.modified),
		"file_location": a.folder.path(), "folder_id": nullable(folderID(a.folder)),
		"owner_organization_id": s.lib.ownerOrg, "is_archived": a.archived, "labels": labelsJSON(a.labels),
	}
	if a.kind == kindStructured {
		s.structuredJSON(a, m)
		return m
	}
	d := s.lib.detailOf(a)
	m["owner_id"], m["expires_at"] = d.ownerID, nullableTime(d.expires)
	m["thumbnail_url"] = nullable(s.thumbnailURL(a))
	m["version_number"], m["version_id"] = a.version, s.lib.versionID(a)
	m["tags"] = s.tagsJSON(d.tags)
	if a.kind == kindArticle {
		articleJSON(a, m)
		return m
	}
	s.fileJSON(a, d, m)
	return m
}

func (s *Simulator) fileJSON(a *asset, d *detail, m map[string]any) {
	m["mime_type"], m["file_extension"], m["file_size"] = a.format.mime, nullable(a.format.ext), d.size
	m["is_public"], m["allow_se_indexing"] = a.public, !d.noIndex
	m["url"] = s.downloadURL(a, s.opts.Now().Add(downloadLifetime).Unix())
	m["description"], m["attribution_text"] = d.description, d.attribution
	if a.kind != kindRawFile {
		m["alt_text"] = d.alt
	}
	if a.kind != kindImage {
		return
	}
	m["image_resolution"] = map[string]int{"width": d.width, "height": d.height}
	m["focal_point"] = nil
	if s.behavior.NullFocalPoint {
		m["focal_point"] = map[string]any{"x": nil, "y": nil}
	}
}

func (s *Simulator) tagsJSON(tags []string) []map[string]string {
	out := make([]map[string]string, 0, len(tags))
	for _, t := range tags {
		out = append(out, map[string]string{"guid": hexID(newRand(s.opts.Seed, "tag "+t, 0)), "name": t})
	}
	return out
}

func articleJSON(a *asset, m map[string]any) {
	m["html_body"] = articleBody(a)
	m["authors"] = []map[string]any{{"name": "Simulated Author"}}
	m["images"], m["meta_keywords"] = []any{}, []string{}
	m["lang_code"], m["group_id"], m["url"] = "eng", nil, nil
	m["meta_title"], m["meta_description"], m["meta_url"] = nil, nil, nil
	m["source_article"], m["source_name"] = nil, nil
	m["pixel_key"] = "px-" + a.id[:min(8, len(a.id))]
}

func (s *Simulator) structuredJSON(a *asset, m map[string]any) {
	made := map[string]any{"created_at": stamp(a.created), "created_by": s.lib.owners[0]}
	with := func(more map[string]any) map[string]any {
		for k, v := range made {
			more[k] = v
		}
		return more
	}
	m["links"] = map[string]string{"self": s.selfURL(a)}
	m["content_body"] = with(map[string]any{
		"content_guid": a.id, "content_type_guid": hexID(newRand(s.opts.Seed, "content type", 0)),
		"content_type_name": "Landing Page", "title": a.title, "root_content": true, "primary_locale": "en_US",
		"updated_at": stamp(a.modified), "updated_by": s.lib.owners[0], "links": map[string]any{},
		"latest_fields_version": with(map[string]any{
			"content_hash": s.lib.versionID(a), "version_guid": s.lib.versionID(a), "fields": map[string]any{},
		}),
	})
}
