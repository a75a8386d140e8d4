package cmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"damsync/internal/library"
)

// urlBatch is how many ids one request asks for. The API's own limit is not
// documented.
const urlBatch = 100

// FileURLs asks for fresh download URLs, one request per 100 ids. An id that the
// API has no URL for is missing from the map.
func (c *Client) FileURLs(ctx context.Context, ids []string) (map[string]library.DownloadURL, error) {
	out := make(map[string]library.DownloadURL, len(ids))
	for batch := range slices.Chunk(ids, urlBatch) {
		var answer struct {
			URLs map[string]*text `json:"urls"`
		}
		ask := map[string][]string{"guids": batch}
		_, err := c.post(ctx, "get file URLs", c.endpoint("file-urls"), ask, func(b []byte) error {
			answer.URLs = nil
			if err := json.Unmarshal(b, &answer); err != nil {
				return fmt.Errorf("decode file URLs: %w", err)
			}
			if answer.URLs == nil {
				return errors.New("decode file URLs: no urls object")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for id, u := range answer.URLs {
			if u != nil && *u != "" {
				out[id] = library.NewDownloadURL(string(*u))
			}
		}
	}
	return out, nil
}
