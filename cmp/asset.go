package cmp

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"damsync/internal/library"
)

// Ref points at one asset. ID is required; Type and Self spare requests when they
// are known, from a row or a webhook.
type Ref struct{ ID, Type, Self string }

// AssetDetail is one asset with everything its type's endpoint reveals.
type AssetDetail struct {
	// Asset is the summary as the detail body tells it. Type and Self, which detail
	// bodies do not repeat, come from how the asset was found. Its Raw is that
	// of the detail body and not comparable with a list row's; Digest is.
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

// UnmarshalJSON takes {"name": …} and also a bare string.
func (t *tag) UnmarshalJSON(b []byte) error {
	if isObject(b) {
		type plainTag tag
		return json.Unmarshal(b, (*plainTag)(t))
	}
	return t.Name.UnmarshalJSON(b)
}

// Asset reads one asset: by ref.Self when that is on the API host, else by its
// type's path, else (one request more) by asking where the asset is. ErrNotFound
// means that the API itself said 404: deleted or hidden from us.
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

// checkID refuses ids that are no path segment. All others are opaque.
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
	raw := stable(b, volatile...)
	d.Asset, d.Detail = body.asset(raw), body.detail(raw)
	return d, nil
}

// mimeOf is what list rows say of the types whose detail bodies have no mime_type.
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

// sizeOf is -1 where the API does not say a size: a promise of no bytes would be one that no file keeps.
func sizeOf(n *integer) int64 {
	if n == nil || *n < 0 {
		return library.UnknownSize
	}
	return int64(*n)
}

// hasFile reports whether a detail's url is a file. An article's is the place it
// was published.
func hasFile(kind string) bool {
	return kind != library.TypeArticle && kind != library.TypeStructuredContent
}
