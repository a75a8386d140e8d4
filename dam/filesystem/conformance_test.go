package filesystem

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"damsync/dam"
	"damsync/dam/damtest"
	"damsync/dam/sidecar"
)

func TestConformance(t *testing.T) {
	damtest.Run(t, func(t *testing.T) damtest.Target {
		b := &backdoor{root: t.TempDir()}
		return damtest.Target{Name: target, Open: b.open, Backdoor: b, OnStep: b.onStep}
	})
}

// A root that is in use can be tested, and has no more files afterwards.
func TestVerifyLeavesNoFiles(t *testing.T) {
	b := &backdoor{root: t.TempDir()}
	damtest.Verify(t.Context(), func(context.Context) (damtest.Target, error) {
		return damtest.Target{Name: target, Open: b.open, Clean: true}, nil
	}, func(r damtest.Result) {
		if r.Outcome == damtest.Failed {
			t.Errorf("%s: %q", r.Case, r.Messages)
		}
	})
	if paths, err := b.Paths(t.Context()); err != nil || len(paths) != 0 {
		t.Errorf("left %q, %v", paths, err)
	}
}

// backdoor reaches a root as other programs do.
type backdoor struct {
	root   string
	before func(step string) error
}

func (b *backdoor) open(instance string) (dam.Adapter, error) {
	a, err := New(map[string]any{"root": b.root}, target, instance)
	if err != nil {
		return nil, err
	}
	a.fault = func(step string) error {
		if b.before == nil {
			return nil
		}
		return b.before(step)
	}
	return a, nil
}

func (b *backdoor) onStep(before func(string) error) { b.before = before }

func (b *backdoor) Write(_ context.Context, path string, body []byte) error {
	path = filepath.Join(b.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o644)
}

func (b *backdoor) Remove(_ context.Context, path string) error {
	return os.Remove(filepath.Join(b.root, path))
}

func (b *backdoor) Look(_ context.Context, path string) (damtest.Seen, error) {
	path = filepath.Join(b.root, path)
	body, err := os.ReadFile(path)
	seen := damtest.Seen{Body: body}
	if raw, sideErr := os.ReadFile(path + sidecar.Suffix); sideErr == nil && err == nil {
		err = json.Unmarshal(raw, &seen)
	}
	return seen, err
}

func (b *backdoor) Paths(context.Context) ([]string, error) {
	var paths []string
	err := filepath.WalkDir(b.root, func(path string, d fs.DirEntry, err error) error {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if d.IsDir() && d.Name() == stateDir {
			return fs.SkipDir
		}
		if !d.IsDir() && !strings.HasSuffix(path, sidecar.Suffix) {
			rel, err := filepath.Rel(b.root, path)
			paths = append(paths, filepath.ToSlash(rel))
			return err
		}
		return nil
	})
	return paths, err
}
