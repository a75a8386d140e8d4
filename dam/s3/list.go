package s3

import (
	"context"
	"errors"
	"iter"
	"strings"

	"damsync/dam"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// List implements dam.Adapter. Marks are not in a listing, so it costs a HEAD
// for each object beside a request for each thousand; sixteen are in flight.
func (a *Adapter) List(ctx context.Context) iter.Seq2[dam.Remote, error] {
	return func(yield func(dam.Remote, error) bool) {
		seen := map[string]bool{}
		stopped := false
		err := a.walk(ctx, func(p place) bool {
			r, tell := a.told(p, seen)
			if tell && !yield(r, nil) {
				stopped = true
			}
			return !stopped
		})
		if err != nil && !stopped {
			yield(dam.Remote{}, classedRead(ctx, "list", err))
		}
	}
}

// told gives the answer for one place, if it is one to be given.
func (a *Adapter) told(p place, seen map[string]bool) (dam.Remote, bool) {
	switch {
	case p.record.sidecar: // also another installation's
		return dam.Remote{}, false
	case !p.ours:
		return dam.Remote{Path: p.name, State: dam.Foreign}, true
	case seen[p.record.AssetID]:
		return dam.Remote{}, false
	}
	seen[p.record.AssetID] = true
	return p.remote(), true
}

// nextPage repeats what fails for a moment: nobody else can, once the listing has begun.
func (a *Adapter) nextPage(ctx context.Context, pages *s3.ListObjectsV2Paginator) (page *s3.ListObjectsV2Output, err error) {
	err = dam.Repeat(ctx, func() error {
		var err error
		page, err = pages.NextPage(ctx)
		return classedRead(ctx, "list objects", err)
	})
	return page, err
}

// lookListed looks at what a page names. What the server refuses to show is
// foreign, and does not end the listing.
func (a *Adapter) lookListed(ctx context.Context, names []string) ([]place, error) {
	return together(ctx, names, func(ctx context.Context, name string) (at place, err error) {
		err = dam.Repeat(ctx, func() error {
			at, err = a.look(ctx, name)
			return err
		})
		if errors.Is(err, errRefused) {
			return place{name: name, exists: true}, nil
		}
		return at, err
	})
}

// walk looks at every object under the prefix, page by page, but for the
// adapter's own state. visit returns false to stop.
func (a *Adapter) walk(ctx context.Context, visit func(place) bool) error {
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	pages := s3.NewListObjectsV2Paginator(api, &s3.ListObjectsV2Input{Bucket: &a.bucket, Prefix: &a.prefix})
	for pages.HasMorePages() {
		page, err := a.nextPage(ctx, pages)
		if err != nil {
			return err
		}
		var names []string
		for _, o := range page.Contents {
			name := a.place(aws.ToString(o.Key))
			if name != "" && !strings.HasPrefix(name, stateDir) && !strings.HasSuffix(name, "/") {
				names = append(names, name)
			}
		}
		for len(names) > 0 {
			n := min(len(names), lookAhead)
			places, err := a.lookListed(ctx, names[:n])
			if err != nil {
				return err
			}
			names = names[n:]
			for _, p := range places {
				if p.exists && !visit(p) {
					return nil
				}
			}
		}
	}
	return nil
}
