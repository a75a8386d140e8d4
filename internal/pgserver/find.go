package pgserver

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Binaries is a directory that contains initdb, postgres and pg_ctl.
type Binaries struct {
	Dir     string // absolute, symbolic links resolved
	Version string // as postgres prints it: 15.18, 18beta1
	Major   int
}

func (b Binaries) path(name string) string { return filepath.Join(b.Dir, name) }

func (b Binaries) String() string { return b.Version + " in " + b.Dir }

// Lookup defines where to look for binaries. The zero value uses this process's
// environment and Debian's directories.
type Lookup struct {
	// Getenv replaces os.Getenv for DAMSYNC_PG_BIN, DAMSYNC_PG_REPOSITORY and PATH.
	Getenv func(string) string
	// Glob replaces /usr/lib/postgresql/*/bin, where Debian and Ubuntu have one
	// directory for each major version.
	Glob string
}

// Find returns the binaries to use: those in the directory DAMSYNC_PG_BIN if it
// is set, otherwise the first on PATH, otherwise the highest version below
// /usr/lib/postgresql. The error's class is ErrNoBinaries. If DAMSYNC_PG_BIN
// names a directory without binaries, Find fails and does not search further.
func Find(ctx context.Context, look Lookup) (Binaries, error) {
	found, err := look.all(ctx)
	if err != nil {
		return Binaries{}, err
	}
	return found[0], nil
}

// all returns every usable installation in order of preference. It returns at
// least one if the error is nil.
func (l Lookup) all(ctx context.Context) ([]Binaries, error) {
	getenv := l.getenv()
	if dir := getenv("DAMSYNC_PG_BIN"); dir != "" {
		b, err := inspect(ctx, dir)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("%w in DAMSYNC_PG_BIN=%s: %w", ErrNoBinaries, dir, err)
		}
		return []Binaries{b}, nil
	}
	path := slices.DeleteFunc(filepath.SplitList(getenv("PATH")), func(dir string) bool {
		return !filepath.IsAbs(dir) // never run programs from the working directory
	})
	found := usable(ctx, path)
	found = append(found, l.installed(ctx)...)
	if ctx.Err() != nil { // which also makes inspect fail
		return nil, ctx.Err()
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w in DAMSYNC_PG_BIN, PATH or %s", ErrNoBinaries, l.glob())
	}
	return found, nil
}

func (l Lookup) getenv() func(string) string {
	if l.Getenv == nil {
		return os.Getenv
	}
	return l.Getenv
}

func (l Lookup) glob() string { return cmp.Or(l.Glob, "/usr/lib/postgresql/*/bin") }

func (l Lookup) installed(ctx context.Context) []Binaries {
	dirs, err := filepath.Glob(l.glob())
	if err != nil { // malformed pattern
		return nil
	}
	found := usable(ctx, dirs)
	slices.SortStableFunc(found, func(a, b Binaries) int { return cmp.Compare(b.Major, a.Major) })
	return found
}

// usable returns the working binaries of dirs.
func usable(ctx context.Context, dirs []string) []Binaries {
	var found []Binaries
	for _, dir := range dirs {
		if b, err := inspect(ctx, dir); err == nil {
			found = append(found, b)
		}
	}
	return found
}

// inspect returns the binaries in dir with their version. It follows links,
// because a link to initdb on PATH is enough to locate the other two programs.
func inspect(ctx context.Context, dir string) (Binaries, error) {
	initdb, err := filepath.EvalSymlinks(filepath.Join(dir, "initdb"))
	if err != nil {
		return Binaries{}, err
	}
	dir, err = filepath.Abs(filepath.Dir(initdb))
	if err != nil {
		return Binaries{}, err
	}
	// pg_ctl starts postgres through a shell with the path in double quotes.
	if strings.ContainsAny(dir, "\"$`\\\n") {
		return Binaries{}, fmt.Errorf("path %q has characters that pg_ctl does not quote", dir)
	}
	for _, name := range []string{"pg_ctl", "postgres"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return Binaries{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	//nolint:gosec // the operator chooses the binaries
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return Binaries{}, fmt.Errorf("run postgres --version: %w", err)
	}
	version, major, err := parseVersion(string(out))
	if err != nil {
		return Binaries{}, err
	}
	return Binaries{Dir: dir, Version: version, Major: major}, nil
}

var versionPattern = regexp.MustCompile(`^postgres \(PostgreSQL\) ((\d{1,4})\S*)`)

// parseVersion parses "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
func parseVersion(out string) (version string, major int, err error) {
	m := versionPattern.FindStringSubmatch(out)
	if m == nil {
		return "", 0, fmt.Errorf("parse PostgreSQL version: %.80q", out)
	}
	major, err = strconv.Atoi(m[2])
	return m[1], major, err
}
