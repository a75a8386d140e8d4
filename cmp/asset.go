package cmp

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"damsync/internal/library"
)

// Ref identifies one asset. ID is required; Type and Self, known from a row or a
// webhook, save requests.
type Ref struct{ ID, Type, Self string }

// AssetDetail is one asset with everything that its type's endpoint reveals.
type AssetDetail struct {
	// Asset is the summary in the detail body. Type and Self, which detail bodies lack,
	// come from how the asset was found. Raw is the detail body and not comparable with a
	// list row's Raw; Digest is comparable.
	Asset  library.Asset
	Detail library.Detail
	URL    library.DownloadURL // empty for types without a file
	Served time.Time           // the server's Date header; zero when absent
}

type detailBody struct {
	row
	Description *text    `json:"description"`
	AltText     text     `json:"alt_text"`
	Attribution text     `json:"attribution_text"`
	Tags        []tag    `json:"tags"`
	ExpiresAt   moment   `json:"expires_at"`
	IsPublic    flag     `json:"is_public"`
	Resolution  *size    `json:"image_resolution"`
	FileSize    *integer `json:"file_size"`
	Version     integer  `json:"version_number"`
	VersionID   text     `json:"version_id"`
	OwnerID     text     `json:"owner_id"`
	URL         text     `json:"url"`
}

type size struct {
	Width  integer `json:"width"`
	Height integer `json:"height"`
}

type tag struct {
	Name text `json:"name"`
}

// UnmarshalJSON accepts {"name": …} and a bare string.
func (t *tag) UnmarshalJSON(b []byte) error {
	if isObject(b) {
		type plainTag tag
		return json.Unmarshal(b, (*plainTag)(t))
	}
	return t.Name.UnmarshalJSON(b)
}

// Asset reads one asset: at ref.Self when that is on the API host, otherwise at its
// type's path, otherwise where the API says it is, which costs one more request.
// ErrNotFound means that the API itself answered 404: the asset is deleted, or hidden
// from this app.
func (c *Client) Asset(ctx context.Context, ref Ref) (AssetDetail, error) {
	op := fmt.Sprintf("read asset %s", ref.ID)
	if err := checkID(op, ref.ID); err != nil {
		return AssetDetail{}, err
	}
	at, err := c.locate(ctx, op, ref)
	if err != nil {
		return AssetDetail{}, err
	}
	var d AssetDetail
	r, err := c.get(ctx, op, at.url, func(b []byte) (err error) {
		d, err = decodeDetail(b, at.kind)
		return err
	})
	if err != nil {
		return AssetDetail{}, err
	}
	if d.Asset.ID != ref.ID {
		return AssetDetail{}, fmt.Errorf("%s: %w: the answer is about asset %q", op, ErrBadResponse, d.Asset.ID)
	}
	d.Asset.Self, d.Served = at.self, r.served
	return d, nil
}

// checkID rejects ids that cannot be a path segment. All others are opaque.
func checkID(op, id string) error {
	if id == "" || id == "." || id == ".." {
		return fmt.Errorf("%s: %w: not an id: %q", op, ErrBadRequest, id)
	}
	return nil
}

func decodeDetail(b []byte, kind string) (AssetDetail, error) {
	var body detailBody
	if err := json.Unmarshal(b, &body); err != nil {
		return AssetDetail{}, fmt.Errorf("decode detail: %w", err)
	}
	if err := body.check(); err != nil {
		return AssetDetail{}, fmt.Errorf("decode detail: %w", err)
	}
	if body.Type == "" {
		body.Type = text(kind)
	}
	volatile := []string{"thumbnail_url"}
	var d AssetDetail
	if hasFile(string(body.Type)) {
		d.URL = library.NewDownloadURL(string(body.URL))
		volatile = append(volatile, "url")
	} else if body.MIMEType == "" {
		body.MIMEType = mimeOf(string(body.Type))
	}
	raw, err := stable(b, volatile...)
	if err != nil {
		return AssetDetail{}, fmt.Errorf("decode detail: %w", err)
	}
	d.Asset, d.Detail = body.asset(raw), body.detail(raw)
	return d, nil
}

// mimeOf returns the mime_type that list rows have for the types whose detail bodies
// have none.
func mimeOf(kind string) text {
	if kind == library.TypeArticle {
		return "application/x-article"
	}
	return "application/x-structured-content"
}

func (b *detailBody) detail(raw json.RawMessage) library.Detail {
	d := library.Detail{
		AltText:       string(b.AltText),
		Attribution:   string(b.Attribution),
		Public:        bool(b.IsPublic),
		Size:          sizeOf(b.FileSize),
		VersionNumber: int64(b.Version),
		VersionID:     string(b.VersionID),
		OwnerID:       string(b.OwnerID),
		Raw:           raw,
		Hash:          sha256.Sum256(raw),
	}
	if b.Description != nil {
		d.Description = string(*b.Description)
	}
	for _, t := range b.Tags {
		d.Tags = append(d.Tags, string(t.Name))
	}
	if !b.ExpiresAt.IsZero() {
		at := b.ExpiresAt.Time
		d.ExpiresAt = &at
	}
	if b.Resolution != nil {
		d.Width, d.Height = int(b.Resolution.Width), int(b.Resolution.Height)
	}
	return d
}

// sizeOf returns library.UnknownSize where the API names no size. Zero would be a size,
// and no download would match it.
func sizeOf(n *integer) int64 {
	if n == nil || *n < 0 {
		return library.UnknownSize
	}
	return int64(*n)
}

// hasFile reports whether a detail's url is a file. An article's url is where it was
// published.
func hasFile(kind string) bool {
	return kind != library.TypeArticle && kind != library.TypeStructuredContent
}
