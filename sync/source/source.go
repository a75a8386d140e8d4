// Package source is the CMP library as the engine sees it: its calls, cached download URLs, and the failures and refusals
// that keep it from being read.
package source

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"damsync/cmp"
	"damsync/internal/grant"
	"damsync/internal/library"
)

// Library is the CMP library; *cmp.Client is one.
type Library interface {
	Assets(ctx context.Context, q cmp.AssetQuery) (cmp.AssetPage, error)
	Asset(ctx context.Context, ref cmp.Ref) (cmp.AssetDetail, error)
	Fields(ctx context.Context, assetID string) (library.Fields, error)
	Folders(ctx context.Context) ([]library.Folder, error)
	LabelGroups(ctx context.Context) ([]library.LabelGroup, error)
	FieldDefinitions(ctx context.Context) ([]library.FieldDefinition, error)
	FileURLs(ctx context.Context, ids []string) (map[string]library.DownloadURL, error)
	Download(ctx context.Context, u library.DownloadURL, from int64) (*cmp.Download, error)
}

// ErrNoURL is the error class of an asset for which the library gives no download URL.
var ErrNoURL = errors.New("the library gives no download URL for the asset")

// Source reads the library and remembers the last failure and refusal. Its methods are safe for concurrent use.
type Source struct {
	Library
	URLs    *URLCache
	Breaker Breaker // of single lookups

	log      zerolog.Logger
	deferred atomic.Pointer[grant.Deferred]
	failure  atomic.Pointer[Failure]
}

// New returns the source that reads lib.
func New(lib Library, log zerolog.Logger) *Source {
	return &Source{Library: lib, URLs: NewURLCache(), log: log}
}

// Failure is why the library cannot be read.
type Failure struct {
	At  time.Time
	Err error
}

// Failure returns why the last reading of the library failed; nil when it succeeded.
func (s *Source) Failure() *Failure { return s.failure.Load() }

// Deferred returns the last refusal by the quota and reports whether it still holds.
func (s *Source) Deferred() (*grant.Deferred, bool) {
	d := s.deferred.Load()
	return d, d != nil && time.Now().Before(d.Until)
}

// Note records the outcome of a reading of the library. A refusal by the quota is no failure, and a canceled context is
// ignored.
func (s *Source) Note(err error) {
	var deferred *grant.Deferred
	switch {
	case err == nil: // a refusal by the quota may still hold for other classes
		s.failure.Store(nil)
	case errors.As(err, &deferred):
		s.NoteDeferred(deferred)
	case errors.Is(err, context.Canceled):
	default:
		s.failure.Store(&Failure{At: time.Now(), Err: err})
	}
}

// NoteDeferred records a refusal by the quota and logs each one that differs from the last.
func (s *Source) NoteDeferred(d *grant.Deferred) {
	before := s.deferred.Swap(d)
	if before == nil || before.Class != d.Class || !before.Until.Equal(d.Until) {
		s.log.Info().Str("class", string(d.Class)).Time("until", d.Until).Str("reason", d.Reason).Msg("quota defers work")
	}
}

// Open downloads an asset's bytes from an offset on. It uses the cached URL, and requests a fresh one once
// when that has expired. It returns ErrNoURL when the library gives none.
func (s *Source) Open(ctx context.Context, class grant.Class, assetID string, from int64) (*cmp.Download, error) {
	if u, ok := s.URLs.Get(assetID); ok {
		d, err := s.Download(ctx, u, from)
		if !errors.Is(err, cmp.ErrExpiredURL) {
			return d, err
		}
		s.URLs.Drop(assetID)
	}
	if err := s.FetchURLs(ctx, class, []string{assetID}); err != nil {
		return nil, err
	}
	u, ok := s.URLs.Get(assetID)
	if !ok {
		return nil, fmt.Errorf("asset %s: %w", assetID, ErrNoURL)
	}
	return s.Download(ctx, u, from)
}

// FetchURLs requests download URLs, a hundred for one request. It is never less urgent than the poll: the bytes of
// planned placements would otherwise wait for details of assets that are not planned yet.
func (s *Source) FetchURLs(ctx context.Context, class grant.Class, ids []string) error {
	if class != grant.Webhook && class != grant.Manual {
		class = grant.Incremental
	}
	urls, err := s.FileURLs(grant.WithClass(ctx, class), ids)
	if err != nil {
		return err
	}
	for id, u := range urls {
		s.URLs.Put(id, u)
	}
	return nil
}
