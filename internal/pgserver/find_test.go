package pgserver_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"damsync/internal/pgserver"
)

// install writes scripts that report a version, in place of binaries.
func install(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("#!/bin/sh\necho 'postgres (PostgreSQL) %s (test)'\n", version)
	for _, name := range []string{"initdb", "postgres", "pg_ctl"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFindOrder(t *testing.T) {
	root := newDir(t)
	named := install(t, filepath.Join(root, "named"), "13.2")
	onPath := install(t, filepath.Join(root, "path"), "14.1")
	install(t, filepath.Join(root, "lib/9/bin"), "9.6.24")
	newest := install(t, filepath.Join(root, "lib/18/bin"), "18beta1")
	install(t, filepath.Join(root, "lib/17/bin"), "17.0")
	incomplete := filepath.Join(root, "client")
	if err := os.Mkdir(incomplete, 0o755); err != nil {
		t.Fatal(err)
	}
	linked := filepath.Join(root, "linked")
	if err := os.Mkdir(linked, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(onPath, "initdb"), filepath.Join(linked, "initdb")); err != nil {
		t.Fatal(err)
	}
	glob := filepath.Join(root, "lib/*/bin")
	for name, c := range map[string]struct {
		look pgserver.Lookup
		want pgserver.Binaries
	}{
		"DAMSYNC_PG_BIN comes first":            {lookup(named, onPath, glob), pgserver.Binaries{Dir: named, Version: "13.2", Major: 13}},
		"PATH comes second":                     {lookup("", incomplete+":"+onPath, glob), pgserver.Binaries{Dir: onPath, Version: "14.1", Major: 14}},
		"a link to initdb is enough":            {lookup("", linked, glob), pgserver.Binaries{Dir: onPath, Version: "14.1", Major: 14}},
		"the highest installed version is last": {lookup("", incomplete, glob), pgserver.Binaries{Dir: newest, Version: "18beta1", Major: 18}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pgserver.Find(t.Context(), c.look)
			if err != nil || got != c.want {
				t.Errorf("Find = %v, %v; want %v", got, err, c.want)
			}
		})
	}
	for name, look := range map[string]pgserver.Lookup{
		"nothing is installed":                    lookup("", incomplete, filepath.Join(root, "none/*")),
		"DAMSYNC_PG_BIN is wrong and not ignored": lookup(incomplete, onPath, glob),
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := pgserver.Find(t.Context(), look); !errors.Is(err, pgserver.ErrNoBinaries) {
				t.Errorf("Find = %v, %v; want ErrNoBinaries", got, err)
			}
		})
	}
}

func lookup(bin, path, glob string) pgserver.Lookup {
	env := map[string]string{"DAMSYNC_PG_BIN": bin, "PATH": path}
	return pgserver.Lookup{Getenv: func(name string) string { return env[name] }, Glob: glob}
}
