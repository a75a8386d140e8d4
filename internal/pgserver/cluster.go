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

// clusterMajor reads the major version of a cluster; 0 means there is none.
func clusterMajor(cluster string) (int, error) {
	text, err := os.ReadFile(filepath.Join(cluster, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) && !exists(cluster) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	return major, nil
}

const (
	initPrefix  = "init-"
	fetchPrefix = "fetch-"
)

// initialize makes the cluster with initdb under another name first, so that
// an interrupted one is never taken for a cluster.
func (in *instance) initialize(ctx context.Context) error {
	if err := in.removeInterrupted(ctx, initPrefix); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(in.place.home, initPrefix)
	if err != nil {
		return fmt.Errorf("create cluster directory: %w", err)
	}
	if err := in.initAt(ctx, tmp); err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return os.Rename(tmp, in.place.cluster())
}

func (in *instance) initAt(ctx context.Context, dir string) error {
	if err := in.account.give(dir); err != nil {
		return fmt.Errorf("create cluster directory: %w", err)
	}
	args := []string{
		"-D", dir, "-U", User, "-A", "trust", "--encoding=UTF8", "--locale=C",
		// A damaged page is reported, not served.
		"--data-checksums",
	}
	if in.unsafe {
		args = append(args, "--no-sync")
	}
	out, err := in.account.command(ctx, in.bin.path("initdb"), args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("run initdb as %s: %w\n%s", in.account.name, err, lastLines(out))
	}
	return in.writeIn(dir, "pg_hba.conf", "# The socket's directory decides who may connect.\nlocal all all trust\n", os.O_TRUNC)
}

// removeInterrupted deletes what a killed initdb or download left in the home. An initdb
// outlives a damsync that was killed, for a moment, and goes on writing.
func (in *instance) removeInterrupted(ctx context.Context, prefix string) error {
	left, err := filepath.Glob(filepath.Join(escapeGlob(in.place.home), prefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, os.RemoveAll(dir) }, backoff.WithMaxElapsedTime(30*time.Second))
		if err != nil {
			return fmt.Errorf("remove what an interrupted run left: %w", err)
		}
	}
	return nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// writeIn writes a file of the cluster. The cluster belongs to the server's
// user: os.Root keeps a link planted there from leading root elsewhere.
func (in *instance) writeIn(dir, name, text string, flag int) (err error) {
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
	if in.account.change {
		err = f.Chown(in.account.uid, in.account.gid)
	}
	return errors.Join(err, f.Close())
}
