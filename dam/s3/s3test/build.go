package s3test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// binary returns the path of versitygw. It builds the version that the tools module
// pins, once, and keeps it in the user's cache for later runs.
func binary(ctx context.Context) (string, error) {
	module, err := toolsModule()
	if err != nil {
		return "", err
	}
	name, err := cachePath(module)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(name + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return name, err
	}
	return name, build(ctx, module, name)
}

func build(ctx context.Context, module, name string) error {
	temp := fmt.Sprintf("%s.%d", name, os.Getpid())
	cmd := exec.CommandContext(ctx, "go", "build", "-o", temp, "github.com/versity/versitygw/cmd/versitygw") //nolint:gosec // a path of ours
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build versitygw in %s: %w\n%s", module, err, out)
	}
	return os.Rename(temp, name)
}

// cachePath names the binary after what it is built from.
func cachePath(module string) (string, error) {
	sum := sha256.New()
	for _, file := range []string{"go.mod", "go.sum"} {
		raw, err := os.ReadFile(filepath.Join(module, file))
		if err != nil {
			return "", err
		}
		sum.Write(raw)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	return filepath.Join(cache, "damsync", fmt.Sprintf("versitygw-%x", sum.Sum(nil)[:8])), nil
}

// toolsModule walks up from the directory of the test.
func toolsModule() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		module := filepath.Join(dir, ".ci", "tools", "versitygw")
		if _, err := os.Stat(filepath.Join(module, "go.mod")); err == nil {
			return module, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no .ci/tools/versitygw above the test's directory")
		}
	}
}

// lock prevents the tests of other packages, which are other processes, from
// building at the same time.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
