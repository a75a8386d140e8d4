package cmpsim

import (
	"fmt"
	"html"
	"maps"
)

// renderer makes the JSON of assets, folders and fields. The library must stay locked while it is
// used; its results share nothing with the library.
type renderer struct {
	*catalog
	site
	behavior Behavior
	expires  int64 // of download URLs, Unix seconds
}

// newRenderer returns a renderer for one answer. The caller holds the lock.
func (l *Library) newRenderer() renderer {
	return renderer{l.catalog, l.site, l.behavior, l.clock().Add(downloadLifetime).Unix()}
}

type namedJSON struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

type labelJSON struct {
	Group  namedJSON   `json:"group"`
	Values []namedJSON `json:"values"`
}

type contentJSON struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// assetRow is an asset in GET /assets (facts.md 4.2).
type assetRow struct {
	ID            string            `json:"id"`
	Title         string            `json:"title"`
	Type          string            `json:"type"`
	MIMEType      string            `json:"mime_type"`
	FileExtension *string           `json:"file_extension"`
	CreatedAt     string            `json:"created_at"`
	ModifiedAt    string            `json:"modified_at"`
	FolderID      *string           `json:"folder_id"`
	FileLocation  string            `json:"file_location"`
	IsArchived    bool              `json:"is_archived"`
	Content       contentJSON       `json:"content"`
	Labels        []labelJSON       `json:"labels"`
	Links         map[string]string `json:"links"`
	OwnerOrg      string            `json:"owner_organization_id"`
	ThumbnailURL  *string           `json:"thumbnail_url"`
}

func (r renderer) rowJSON(a *asset) assetRow {
	return assetRow{
		ID: a.id, Title: a.title, Type: a.kind.info().name, MIMEType: a.format.mime, FileExtension: orNull(a.format.ext),
		CreatedAt: stamp(a.created), ModifiedAt: stamp(a.modified), FolderID: orNull(folderID(a.folder)),
		FileLocation: a.folder.path(), IsArchived: a.archived, Content: r.contentOf(a), Labels: labelList(a.labels),
		Links: map[string]string{"self": r.self(a)}, OwnerOrg: r.ownerOrg, ThumbnailURL: orNull(r.thumbnail(a)),
	}
}

// contentOf returns an article's body, the API URL of structured content, or a fresh download URL (facts.md
// 4.2).
func (r renderer) contentOf(a *asset) contentJSON {
	c := contentJSON{Type: a.kind.info().contentType}
	switch a.kind {
	case kindArticle:
		c.Value = articleBody(a)
	case kindStructured:
		c.Value = r.self(a)
	default:
		c.Value = r.download(a, r.expires)
	}
	return c
}

// detailJSON returns an asset as its type's endpoint answers it (facts.md 4.4).
func (r renderer) detailJSON(a *asset) map[string]any {
	m := map[string]any{
		"id": a.id, "title": a.title,
		"created_at": stamp(a.created), "modified_at": stamp(a.modified),
		"file_location": a.folder.path(), "folder_id": orNull(folderID(a.folder)),
		"owner_organization_id": r.ownerOrg, "is_archived": a.archived, "labels": labelList(a.labels),
	}
	if a.kind == kindStructured {
		r.addStructured(a, m)
		return m
	}
	d := r.detailOf(a)
	m["owner_id"] = d.ownerID
	m["expires_at"] = nil
	if d.expires != 0 {
		m["expires_at"] = stamp(d.expires)
	}
	m["thumbnail_url"] = orNull(r.thumbnail(a))
	m["version_number"], m["version_id"] = a.version, r.versionID(a)
	m["tags"] = r.tagList(d.tags)
	if a.kind == kindArticle {
		addArticle(a, m)
		return m
	}
	r.addFile(a, d, m)
	return m
}

func (r renderer) addFile(a *asset, d *detail, m map[string]any) {
	m["mime_type"], m["file_extension"], m["file_size"] = a.format.mime, orNull(a.format.ext), d.size
	m["is_public"], m["allow_se_indexing"] = a.public, !d.noIndex
	m["url"] = r.download(a, r.expires)
	m["description"], m["attribution_text"] = d.description, d.attribution // "" when unset, as seen live (facts.md 12.4)
	if a.kind != kindRawFile {
		m["alt_text"] = d.alt
	}
	if a.kind != kindImage {
		return
	}
	m["image_resolution"] = map[string]int{"width": d.width, "height": d.height}
	m["focal_point"] = nil
	if r.behavior.NullFocalPoint {
		m["focal_point"] = map[string]any{"x": nil, "y": nil}
	}
}

func addArticle(a *asset, m map[string]any) {
	m["html_body"] = articleBody(a)
	m["authors"] = []map[string]any{{"name": "Simulated Author"}}
	m["images"], m["meta_keywords"] = []any{}, []string{}
	m["lang_code"], m["group_id"], m["url"] = "eng", nil, nil
	m["meta_title"], m["meta_description"], m["meta_url"] = nil, nil, nil
	m["source_article"], m["source_name"] = nil, nil
	m["pixel_key"] = "px-" + a.id[:8]
}

func (r renderer) addStructured(a *asset, m map[string]any) {
	created := map[string]any{"created_at": stamp(a.created), "created_by": r.owners[0]}
	version := map[string]any{"content_hash": r.versionID(a), "version_guid": r.versionID(a), "fields": map[string]any{}}
	maps.Copy(version, created)
	body := map[string]any{
		"content_guid": a.id, "content_type_guid": hexID(newRand(r.seed, "content type", 0)),
		"content_type_name": "Landing Page", "title": a.title, "root_content": true, "primary_locale": "en_US",
		"updated_at": stamp(a.modified), "updated_by": r.owners[0], "links": map[string]any{},
		"latest_fields_version": version,
	}
	maps.Copy(body, created)
	m["links"], m["content_body"] = map[string]string{"self": r.self(a)}, body
}

func (r renderer) tagList(tags []string) []map[string]string {
	out := make([]map[string]string, 0, len(tags))
	for _, t := range tags {
		out = append(out, map[string]string{"guid": hexID(newRand(r.seed, "tag "+t, 0)), "name": t})
	}
	return out
}

func articleBody(a *asset) string {
	return fmt.Sprintf("<p>%s, version %d</p>", html.EscapeString(a.title), a.version)
}

func labelList(picks []pick) []labelJSON {
	out := make([]labelJSON, 0, len(picks))
	for _, p := range picks {
		out = append(out, labelJSON{namedJSON{p.group.id, p.group.name}, namedList(p.values)})
	}
	return out
}

func namedList(values []*named) []namedJSON {
	out := make([]namedJSON, 0, len(values))
	for _, v := range values {
		out = append(out, namedJSON{v.id, v.name})
	}
	return out
}

// orNull returns nil, which is null in JSON, for "".
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
