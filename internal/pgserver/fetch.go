package pgserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fergusstrange/embedded-postgres"
)

const (
	mavenCentral = "https://repo1.maven.org/maven2"
	// maxArchiveSize bounds a download; archives have about 30 MB.
	maxArchiveSize = 256 << 20
	fetchTimeout   = 10 * time.Minute
)

// distribution returns the version to download for a cluster of a major
// version; 0 means a new cluster.
func distribution(major int) (embeddedpostgres.PostgresVersion, bool) {
	version, ok := map[int]embeddedpostgres.PostgresVersion{
		0:  embeddedpostgres.V18,
		18: embeddedpostgres.V18,
		17: embeddedpostgres.V17,
		16: embeddedpostgres.V16,
		15: embeddedpostgres.V15,
		14: embeddedpostgres.V14,
		13: embeddedpostgres.V13,
	}[major]
	return version, ok
}

// fetch downloads binaries of a major version into dist, which appears whole
// or not at all. The source is zonky's embedded-postgres-binaries in a Maven
// repository.
func fetch(ctx context.Context, repository string, major int, dist string) error {
	version, ok := distribution(major)
	if !ok {
		return fmt.Errorf("there is no distribution of PostgreSQL %d", major)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	work, err := os.MkdirTemp(filepath.Dir(dist), fetchPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := unpack(ctx, repository, version, work); err != nil {
		return err
	}
	if err := makeReadable(filepath.Join(work, "dist")); err != nil {
		return err
	}
	if err := os.RemoveAll(dist); err != nil {
		return err
	}
	return os.Rename(filepath.Join(work, "dist"), dist)
}

// unpack lets embedded-postgres download and extract into work/dist. The
// library offers that only as the beginning of Start, whose rest is of no use
// here: it refuses root and listens on TCP. The data path given, ending in a
// dot, is one that os.RemoveAll refuses by its contract, so Start ends with an
// error that names this path when, and only when, everything is extracted.
func unpack(ctx context.Context, repository string, version embeddedpostgres.PostgresVersion, work string) error {
	relay, err := startRelay(ctx, repository)
	if err != nil {
		return err
	}
	stop := filepath.Join(work, "data") + "/."
	err = embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(version).
		Port(0). // it tries to listen on it, and 0 is always free
		BinaryRepositoryURL(relay.url).
		CachePath(filepath.Join(work, "cache")).
		RuntimePath(filepath.Join(work, "dist")).
		DataPath(stop).
		Logger(io.Discard)).Start()
	relayErr := relay.close()
	if err != nil && strings.Contains(err.Error(), stop) {
		return nil
	}
	return cmp.Or(relayErr, context.Cause(ctx), err)
}

// makeReadable lets the server's user read what this process extracted,
// whatever its umask.
func makeReadable(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return root.Chmod(path, mode)
	})
	return errors.Join(err, root.Close())
}

// relay stands between the library and the repository, for what the library
// lacks: a context, a limit of size, a checksum that may not be missing, and
// the reason of a failure.
type relay struct {
	url    string
	server *http.Server
	done   chan struct{}

	mu      sync.Mutex
	failure error
}

func startRelay(ctx context.Context, repository string) (*relay, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{url: "http://" + l.Addr().String(), done: make(chan struct{})}
	r.server = &http.Server{
		Handler:           r.handler(repository),
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		defer close(r.done)
		_ = r.server.Serve(l)
	}()
	return r, nil
}

// close ends the relay and returns why a request failed, if one did.
func (r *relay) close() error {
	err := r.server.Close()
	<-r.done
	http.DefaultClient.CloseIdleConnections() // the library's
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(r.failure, err)
}

func (r *relay) handler(repository string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := r.get(req.Context(), repository, req.URL.Path)
		if err != nil {
			r.mu.Lock()
			r.failure = cmp.Or(r.failure, err)
			r.mu.Unlock()
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		_, _ = w.Write(body) //nolint:gosec // an archive for the library, which no browser reads
	})
}

// get answers a request of the library: an archive, which is checked against
// the checksum beside it, or that checksum.
func (r *relay) get(ctx context.Context, repository, path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".sha256") {
		archive, err := download(ctx, repository+path, maxArchiveSize)
		if err != nil {
			return nil, err
		}
		return archive, verify(ctx, repository+path+".sha256", archive)
	}
	sum, err := download(ctx, repository+path, 1<<10)
	return firstField(sum), err
}

// verify compares the archive with its published checksum.
func verify(ctx context.Context, url string, archive []byte) error {
	text, err := download(ctx, url, 1<<10)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(archive)
	if string(firstField(text)) != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%s does not match the archive", url)
	}
	return nil
}

// firstField cuts the file name that some tools add to a checksum.
func firstField(text []byte) []byte {
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return nil
	}
	return []byte(fields[0])
}

func download(ctx context.Context, url string, limit int64) (_ []byte, err error) {
	//nolint:gosec // the repository is the operator's choice
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req) //nolint:gosec // as above
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s", url, resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", url, err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("get %s: more than %d bytes", url, limit)
	}
	return body, nil
}
