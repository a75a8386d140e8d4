package pgserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

const (
	mavenCentral = "https://repo1.maven.org/maven2"
	fetchTimeout = 10 * time.Minute // for each of the two requests
)

// chooseBinaries returns the binaries for a cluster of the given major version,
// or the preferred ones when major is 0, which means that there is no cluster
// yet. It downloads them if none are installed, unless DAMSYNC_PG_BIN is set.
func (s *instance) chooseBinaries(ctx context.Context, opt Options, major int) (Binaries, error) {
	getenv := opt.Lookup.getenv()
	found, err := opt.Lookup.all(ctx)
	if err != nil && (!errors.Is(err, ErrNoBinaries) || getenv("DAMSYNC_PG_BIN") != "") {
		return Binaries{}, err
	}
	if downloaded, err := inspect(ctx, s.distBin()); err == nil {
		found = append(found, downloaded)
	} else if !errors.Is(err, os.ErrNotExist) {
		s.log.Warn().Err(err).Msg("ignoring downloaded PostgreSQL binaries that do not run")
	}
	if len(found) == 0 {
		b, fetchErr := s.fetchBinaries(ctx, opt, major)
		if fetchErr != nil {
			return Binaries{}, noBinaries(err, fetchErr)
		}
		return b, nil
	}
	for _, b := range found {
		if major == 0 || b.Major == major {
			return b, nil
		}
	}
	return Binaries{}, fmt.Errorf("%w: PostgreSQL %d created %s, but PostgreSQL %s was found\ninstall postgresql-%d, or set DAMSYNC_PG_BIN to its binaries, or upgrade the cluster with pg_upgrade",
		ErrVersion, major, s.layout.cluster(), found[0], major)
}

func (s *instance) distBin() string { return filepath.Join(s.layout.dist(), "bin") }

// fetchBinaries downloads binaries of a major version, or of the newest known
// when it is 0.
func (s *instance) fetchBinaries(ctx context.Context, opt Options, major int) (Binaries, error) {
	repository := cmp.Or(opt.Repository, opt.Lookup.getenv()("DAMSYNC_PG_REPOSITORY"), mavenCentral)
	path, err := archivePath(major)
	if err != nil {
		return Binaries{}, err
	}
	if err := s.removeInterrupted(ctx, fetchPrefix); err != nil {
		return Binaries{}, err
	}
	s.log.Info().Str("repository", repository).Msg("no PostgreSQL binaries installed; downloading them")
	client := &http.Client{Transport: httpsOnly{opt.Transport}, Timeout: fetchTimeout}
	if err := fetch(ctx, client, repository+path, s.layout.dist()); err != nil {
		return Binaries{}, err
	}
	b, err := inspect(ctx, s.distBin())
	if err != nil {
		return Binaries{}, fmt.Errorf("inspect downloaded binaries: %w", err)
	}
	return b, nil
}

// httpsOnly refuses requests without TLS, also those of a redirect.
type httpsOnly struct{ next http.RoundTripper }

func (t httpsOnly) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" {
		return nil, errors.New("not an https address")
	}
	return t.next.RoundTrip(req)
}

// archivePath returns the path of an archive of zonky's
// embedded-postgres-binaries for this platform in a Maven repository. The
// versions are those that github.com/fergusstrange/embedded-postgres v1.34.0
// lists, as are the names of architectures.
func archivePath(major int) (string, error) {
	version, ok := map[int]string{
		0: "18.3.0", 18: "18.3.0", 17: "17.5.0", 16: "16.9.0", 15: "15.13.0", 14: "14.18.0", 13: "13.21.0",
	}[major]
	if !ok {
		return "", fmt.Errorf("no archive of PostgreSQL %d is known", major)
	}
	platform := runtime.GOOS + "-" + runtime.GOARCH
	if runtime.GOARCH == "arm64" {
		platform += "v8"
	}
	if exists("/etc/alpine-release") {
		platform += "-alpine"
	}
	name := "embedded-postgres-binaries-" + platform
	return "/io/zonky/test/postgres/" + name + "/" + version + "/" + name + "-" + version + ".jar", nil
}
