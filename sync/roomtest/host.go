package roomtest

import (
	"context"
	"io"
	"slices"
	"strings"
	"sync"

	"damsync/cmp"
	"damsync/internal/library"
	"damsync/sync/source"
)

// Host is a library that only gives bytes. The zero value gives each asset bytes that name it.
type Host struct {
	source.Library // nil: any other call panics

	ETag string // of all content
	Fail error  // what a download ends with; nil: it succeeds

	mu      sync.Mutex
	content map[string]string
	offsets []int64
	open    int
}

// Bytes is what an asset consists of unless Set says otherwise.
func Bytes(assetID string) string { return "bytes of " + assetID }

// Set changes the bytes of an asset.
func (h *Host) Set(assetID, content string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.content == nil {
		h.content = map[string]string{}
	}
	h.content[assetID] = content
}

// Offsets lists from which byte on each download was requested.
func (h *Host) Offsets() []int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.offsets)
}

// Open counts the downloads that are not closed.
func (h *Host) Open() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

const prefix = "http://host.test/"

// FileURLs implements source.Library.
func (h *Host) FileURLs(_ context.Context, ids []string) (map[string]library.DownloadURL, error) {
	urls := map[string]library.DownloadURL{}
	for _, id := range ids {
		urls[id] = library.NewDownloadURL(prefix + id)
	}
	return urls, nil
}

// Download implements source.Library.
func (h *Host) Download(_ context.Context, u library.DownloadURL, from int64) (*cmp.Download, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.offsets = append(h.offsets, from)
	if h.Fail != nil {
		return nil, h.Fail
	}
	id := strings.TrimPrefix(u.Reveal(), prefix)
	content, set := h.content[id]
	if !set {
		content = Bytes(id)
	}
	h.open++
	return &cmp.Download{Body: &download{strings.NewReader(content[from:]), h}, Size: int64(len(content)), ETag: h.ETag}, nil
}

type download struct {
	io.Reader
	host *Host
}

func (d *download) Close() error {
	d.host.mu.Lock()
	defer d.host.mu.Unlock()
	d.host.open--
	return nil
}
