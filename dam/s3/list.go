package s3

import (
	"context"
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
			yield(dam.Remote{}, classedRead("list", err))
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

// walk looks at every object under the prefix, page by page, but for the
// adapter's own state. visit returns false to stop.
func (a *Adapter) walk(ctx context.Context, visit func(place) bool) error {
	api, err := a.connect(ctx)
	if err != nil {
		return err
	}
	pages := s3.NewListObjectsV2Paginator(api, &s3.ListObjectsV2Input{Bucket: &a.bucket, Prefix: &a.prefix})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return classedRead("list objects", err)
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
			places, err := a.lookAll(ctx, names[:n])
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
