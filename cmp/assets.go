package cmp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"damsync/internal/library"
)

// maxPageSize is the largest page of the API, in rows.
const maxPageSize = 100

// AssetQuery selects a page of GET /assets. Zero fields are not sent.
//
// Time bounds are sent with the precision given. Whether they are inclusive is not
// documented, so overlap them.
type AssetQuery struct {
	ModifiedFrom, ModifiedTo time.Time
	CreatedFrom, CreatedTo   time.Time
	Types                    []string
	FolderID                 string
	// IncludeSubfolders set to false without a FolderID selects the assets in no folder.
	IncludeSubfolders *bool
	Offset            int
	PageSize          int // at most 100; the API's own default is 10
}

// AssetPage is one page of the library, sorted by modified_at, newest first.
type AssetPage struct {
	Items     []Item
	Total     int        // matches of the query; -1 when the answer had no total_count
	More      bool       // there is a next page
	Bad       []RowError // rows that could not be read; with any, the page is not complete
	Requested time.Time  // local time just before the answered request was sent
	Served    time.Time  // the server's Date header, whole seconds; zero when absent
}

// Item is one row of a page. URL is its download URL, empty for types without a file.
type Item struct {
	library.Asset
	URL library.DownloadURL
}

// Assets reads one page of the library.
func (c *Client) Assets(ctx context.Context, q AssetQuery) (AssetPage, error) {
	u := c.endpoint("assets")
	u.RawQuery = q.values().Encode()
	var page AssetPage
	r, err := c.get(ctx, "list assets", u, func(b []byte) (err error) {
		page, err = decodePage(b)
		return err
	})
	if err != nil {
		return AssetPage{}, err
	}
	page.Requested, page.Served = r.sent, r.served
	return page, nil
}

func (q AssetQuery) values() url.Values {
	v := url.Values{}
	times := map[string]time.Time{
		"modified_at__from": q.ModifiedFrom, "modified_at__to": q.ModifiedTo,
		"created_at__from": q.CreatedFrom, "created_at__to": q.CreatedTo,
	}
	for name, t := range times {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	for _, t := range q.Types {
		v.Add("type", t)
	}
	if q.FolderID != "" {
		v.Set("folder_id", q.FolderID)
	}
	if q.IncludeSubfolders != nil {
		v.Set("include_subfolder_assets", strconv.FormatBool(*q.IncludeSubfolders))
	}
	if q.Offset > 0 {
		v.Set("offset", strconv.Itoa(q.Offset))
	}
	if q.PageSize > 0 {
		v.Set("page_size", strconv.Itoa(min(q.PageSize, maxPageSize)))
	}
	return v
}

// decodePage decodes one page of GET /assets, row by row, so that one malformed row
// does not lose the others: it goes to Bad. An error means that the page as a whole is
// no answer.
func decodePage(b []byte) (AssetPage, error) {
	e, err := decodeEnvelope(b)
	if err != nil {
		return AssetPage{}, err
	}
	page := AssetPage{Total: -1, More: e.next() != ""}
	if present(e.Total) {
		total, err := strconv.ParseFloat(textOf(e.Total), 64)
		if err != nil || total < 0 || total != float64(int(total)) {
			return AssetPage{}, fmt.Errorf("decode page: total_count %.20q is not a count", e.Total)
		}
		page.Total = int(total)
	}
	for i, raw := range *e.Data {
		item, err := decodeItem(raw)
		if err != nil {
			page.Bad = append(page.Bad, RowError{Index: i, ID: textOf(members(raw)["id"]), Reason: err.Error()})
			continue
		}
		page.Items = append(page.Items, item)
	}
	return page, nil
}

// decodeItem decodes one row of GET /assets.
func decodeItem(raw json.RawMessage) (Item, error) {
	var r row
	if err := json.Unmarshal(raw, &r); err != nil {
		return Item{}, err
	}
	if err := r.check(); err != nil {
		return Item{}, err
	}
	item := Item{}
	volatile := []string{"thumbnail_url"}
	if r.Content.Type == "url" {
		item.URL = library.NewDownloadURL(string(r.Content.Value))
		volatile = append(volatile, "content.value")
	}
	kept, err := stable(raw, volatile...)
	if err != nil {
		return Item{}, err
	}
	item.Asset = r.asset(kept)
	return item, nil
}
