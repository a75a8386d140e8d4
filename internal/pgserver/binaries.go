package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// binaries finds the binaries for a cluster of the given major version, which
// come before newer ones; 0 means that there is no cluster yet. What is not
// installed is downloaded, unless somebody said where it should be.
func (in *instance) binaries(ctx context.Context, opt Options, major int) (Binaries, error) {
	getenv := opt.Lookup.getenv()
	found, err := opt.Lookup.all(ctx)
	if err != nil && (!errors.Is(err, ErrNoBinaries) || getenv("DAMSYNC_PG_BIN") != "") {
		return Binaries{}, err
	}
	if downloaded, err := inspect(ctx, in.distBin()); err == nil {
		found = append(found, downloaded)
	} else if !errors.Is(err, os.ErrNotExist) {
		in.log.Warn().Err(err).Msg("Downloaded PostgreSQL is of no use")
	}
	if len(found) == 0 {
		return in.download(ctx, cmp.Or(opt.Repository, getenv("DAMSYNC_PG_REPOSITORY"), mavenCentral), major, err)
	}
	for _, b := range found {
		if major == 0 || b.Major == major {
			return b, nil
		}
	}
	return Binaries{}, fmt.Errorf("%w: %s was made by PostgreSQL %d, found is %s\ninstall postgresql-%d, or set DAMSYNC_PG_BIN to its binaries, or move the cluster to the new version with pg_upgrade",
		ErrVersion, in.place.cluster(), major, found[0], major)
}

func (in *instance) distBin() string { return filepath.Join(in.place.dist(), "bin") }

func (in *instance) download(ctx context.Context, repository string, major int, notFound error) (Binaries, error) {
	in.log.Info().Str("repository", repository).Msg("Downloading PostgreSQL, since none is installed")
	if err := in.removeInterrupted(ctx, fetchPrefix); err != nil {
		return Binaries{}, err
	}
	err := fetch(ctx, repository, major, in.place.dist())
	if err != nil {
		return Binaries{}, noServer(notFound, err)
	}
	b, err := inspect(ctx, in.distBin())
	if err != nil {
		return Binaries{}, noServer(notFound, err)
	}
	return b, nil
}
