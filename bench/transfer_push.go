package main

import (
	"context"
	"encoding/json"
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

// pushJob is what there is to be placed, and where.
type pushJob struct {
	Options map[string]any // of the adapter
	Source  string         // URL of a directory
	Files   int
	Size    int64
	Workers int
}

// pushResult is what the placements are said to hold.
type pushResult struct {
	SHA256 []string // of file i
}

// playPush is the part of damsync: the client's downloads, the decorators of the
// daemon, the adapter.
func playPush(ctx context.Context, job []byte, _ io.Reader, stdout io.Writer) error {
	var j pushJob
	if err := json.Unmarshal(job, &j); err != nil {
		return err
	}
	memory.Save(os.LookupEnv) // as the daemon
	r, err := push(ctx, j)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(r)
}

const benchName = "bench" // of instance, target and bucket

func push(ctx context.Context, j pushJob) (pushResult, error) {
	adapter, err := s3.New(j.Options, benchName, benchName)
	if err != nil {
		return pushResult{}, err
	}
	target := dam.Logging(dam.Metrics(dam.Retry(dam.Pace(adapter, 0)), func(dam.Call) {}), zerolog.Nop(), benchName)
	client, err := newDownloader()
	if err != nil {
		return pushResult{}, err
	}
	r := pushResult{SHA256: make([]string, j.Files)}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(j.Workers)
	for i := range j.Files {
		g.Go(func() error {
			placed, err := target.Put(ctx, j.object(client, i), dam.Remote{})
			r.SHA256[i] = placed.Mark.SHA256
			return err
		})
	}
	return r, g.Wait()
}

// newDownloader makes a client that only downloads: nothing of the API is asked
// for, so there is neither a bearer nor a grant.
func newDownloader() (*cmp.Client, error) {
	return cmp.New(cmp.Options{
		APIURL: "http://127.0.0.1", Tokens: struct{ cmp.TokenSource }{}, Grants: struct{ cmp.Grants }{}, Log: zerolog.Nop(),
	})
}

func (j pushJob) object(client *cmp.Client, i int) dam.Object {
	name := fileName(i)
	return dam.Object{
		Mark: dam.Mark{
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

// check holds what was hashed on the way against what the source holds.
func (r pushResult) check(want []string) error {
	if len(r.SHA256) != len(want) {
		return fmt.Errorf("%d files placed, wanted %d", len(r.SHA256), len(want))
	}
	var wrong []error
	for i, sum := range r.SHA256 {
		if sum != want[i] {
			wrong = append(wrong, fmt.Errorf("%s was hashed as %q, it is %s", fileName(i), sum, want[i]))
		}
	}
	return errors.Join(wrong...)
}
