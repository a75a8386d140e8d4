package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"damsync/cmp"
	"damsync/dam"
	"damsync/dam/s3"
	"damsync/internal/library"
	"damsync/internal/memory"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"
)

// pushJob is what to transfer, and where to.
type pushJob struct {
	Options map[string]any // of the adapter
	Source  string         // URL of a directory
	Files   int
	Size    int64
	Workers int
}

// pushed is what the adapter returned for the objects.
type pushed struct {
	SHA256 []string // of file i
}

const benchName = "bench" // of instance, target and bucket

// push is the part of damsync: the client's downloads, the daemon's decorators, the adapter.
func push(ctx context.Context, j pushJob) (pushed, error) {
	memory.Save(os.LookupEnv) // as the daemon does
	adapter, err := s3.New(j.Options, benchName, benchName)
	if err != nil {
		return pushed{}, err
	}
	target := dam.Logging(dam.Metrics(dam.Retry(dam.Pace(adapter, 0)), func(dam.Call) {}), zerolog.Nop(), benchName)
	client, err := newDownloader()
	if err != nil {
		return pushed{}, err
	}
	r := pushed{SHA256: make([]string, j.Files)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(j.Workers)
	for i := range j.Files {
		g.Go(func() error {
			remote, err := target.Put(ctx, j.object(client, i), dam.Remote{})
			r.SHA256[i] = remote.Mark.SHA256
			return err
		})
	}
	return r, g.Wait()
}

// newDownloader returns a client that only downloads, which takes neither a token nor a grant.
func newDownloader() (*cmp.Client, error) {
	return cmp.New(cmp.Options{
		APIURL: "http://127.0.0.1", Tokens: struct{ cmp.TokenSource }{}, Grants: struct{ cmp.Grants }{}, Log: zerolog.Nop(),
	})
}

func (j pushJob) object(client *cmp.Client, i int) dam.Object {
	name := fileName(i)
	return dam.Object{
		Mark: dam.OwnerMark{
			Instance: benchName, Target: benchName, AssetID: name, Version: "1", Size: j.Size, Generation: 1,
		},
		Path: name, Title: name, MIMEType: "application/x-bench", Metadata: dam.Metadata{"alt": "a picture"},
		Open: dam.Opener(j.Size, "", func(ctx context.Context, from int64) (io.ReadCloser, error) {
			d, err := client.Download(ctx, library.NewDownloadURL(j.Source+"/"+name), from)
			if err != nil {
				return nil, err
			}
			return d.Body, nil
		}),
	}
}

// check compares the hashes computed on the way with those of the source.
func (r pushed) check(want []string) error {
	if len(r.SHA256) != len(want) {
		return fmt.Errorf("%d files placed, want %d", len(r.SHA256), len(want))
	}
	var wrong []error
	for i, sum := range r.SHA256 {
		if sum != want[i] {
			wrong = append(wrong, fmt.Errorf("hash of %s is %q, want %s", fileName(i), sum, want[i]))
		}
	}
	return errors.Join(wrong...)
}
