package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// clusterMajor returns the major version of a cluster, or 0 if there is none.
func clusterMajor(cluster string) (int, error) {
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) && !exists(cluster) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read cluster version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read cluster version: %w", err)
	}
	return major, nil
}

// Prefixes of directories that hold unfinished work.
const (
	initPrefix  = "init-"
	fetchPrefix = "fetch-"
)

// initialize runs initdb under a temporary name and then renames the result, so
// an interrupted initdb never leaves a partial cluster.
func (s *instance) initialize(ctx context.Context) error {
	if err := s.removeInterrupted(ctx, initPrefix); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(s.layout.dir, initPrefix)
	if err != nil {
		return fmt.Errorf("create cluster directory: %w", err)
	}
	if err := s.initAt(ctx, tmp); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, s.layout.cluster())
}

func (s *instance) initAt(ctx context.Context, dir string) error {
	if err := s.account.handOver(dir); err != nil {
		return fmt.Errorf("create cluster directory: %w", err)
	}
	args := []string{
		"-D", dir, "-U", userName, "-A", "trust", "--encoding=UTF8", "--locale=C",
		// Reading a damaged page fails instead of returning wrong data.
		"--data-checksums",
	}
	if s.unsafe {
		args = append(args, "--no-sync")
	}
	out, err := s.account.command(ctx, s.bin.path("initdb"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run initdb as %s: %w\n%s", s.account.name, err, lastLines(out))
	}
	const rules = "# The mode of the socket's directory decides who may connect.\nlocal all all trust\n"
	return s.writeIn(dir, "pg_hba.conf", rules, os.O_TRUNC)
}

// removeInterrupted deletes what killed processes left of an initdb or a
// download. It retries, because the initdb of a killed damsync keeps writing for
// a moment.
func (s *instance) removeInterrupted(ctx context.Context, prefix string) error {
	dirs, err := filepath.Glob(filepath.Join(escapeGlob(s.layout.dir), prefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, os.RemoveAll(dir) }, backoff.WithMaxElapsedTime(30*time.Second))
		if err != nil {
			return fmt.Errorf("remove leftovers of an interrupted start: %w", err)
		}
	}
	return nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// writeIn writes a file of the cluster. The cluster belongs to the server's
// user; os.Root prevents a link in it from redirecting root's write elsewhere.
func (s *instance) writeIn(dir, name, text string, flag int) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	f, err := root.OpenFile(name, os.O_CREATE|os.O_WRONLY|flag, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if s.account.switchUser {
		err = f.Chown(s.account.uid, s.account.gid)
	}
	return errors.Join(err, f.Close())
}
