package sync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"damsync/cmp/cmpsim"
)

// file is what a target should hold, or holds, of an asset. The expectation for the usual targets is written by hand and
// does not use the code under test.
type file struct {
	AssetID, Path, SHA256 string
	Metadata              map[string]any
}

// wanted returns what a target should hold according to the simulator.
func (w *world) wanted(target string) map[string]file {
	w.Helper()
	all, err := w.sim.Assets(0, 0, false)
	if err != nil {
		w.Fatalf("read the truth: %v", err)
	}
	out := map[string]file{}
	for _, a := range all {
		if f, ok := wantedFile(target, a); ok {
			f.SHA256 = w.digest(a)
			out[a.ID] = f
		}
	}
	return out
}

// digest returns the SHA-256 of an asset's current version. It caches them: drawing the pictures is the most expensive
// part of a history.
func (w *world) digest(a cmpsim.Asset) string {
	w.Helper()
	key := a.ID + " " + a.VersionID
	if _, known := w.digests[key]; !known {
		whole, err := w.sim.Asset(a.ID)
		if err != nil {
			return "" // deleted meanwhile
		}
		if w.digests == nil {
			w.digests = map[string]string{}
		}
		w.digests[a.ID+" "+whole.VersionID] = whole.SHA256
	}
	return w.digests[key]
}

func wantedFile(target string, a cmpsim.Asset) (file, bool) {
	f := file{AssetID: a.ID, SHA256: a.SHA256, Metadata: map[string]any{"title": a.Title}}
	if target == "photos" {
		f.Path = a.ID + ".bin"
		return f, !a.Archived && (a.Type == "image" || a.Type == "raw_file") && (below(a.Folder, "/Brand/Photography") || below(a.Folder, "/Press"))
	}
	expired := !a.ExpiresAt.IsZero() && !a.ExpiresAt.After(time.Now())
	f.Path = strings.Trim(a.Folder+"/"+a.ID+".bin", "/")
	f.Metadata["alt"] = a.AltText
	f.Metadata["tags"] = anys(a.Tags)
	if headline := a.Fields["Headline"]; len(headline) > 0 {
		f.Metadata["headline"] = headline[0]
	}
	selected := a.Type == "image" && below(a.Folder, "/Brand") && slices.Contains(a.Labels["Status"], "Approved")
	return f, selected && !a.Archived && !expired
}

func below(folder, top string) bool { return folder == top || strings.HasPrefix(folder, top+"/") }

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// held reads a target's directory except for damsync's own directories and foreign files. It is an error when an asset is
// there twice.
func (w *world) held(target string) (map[string]file, error) {
	root := w.root(target)
	out := map[string]file{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		if d.IsDir() || strings.HasSuffix(path, ".damsync.json") || strings.HasPrefix(d.Name(), "foreign") {
			return nil
		}
		f, err := readFile(root, path)
		if err != nil {
			return err
		}
		if other, twice := out[f.AssetID]; twice {
			return fmt.Errorf("asset %s is at %s and at %s", f.AssetID, other.Path, f.Path)
		}
		out[f.AssetID] = f
		return nil
	})
	return out, err
}

func readFile(root, path string) (file, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return file{}, err
	}
	text, err := os.ReadFile(path + ".damsync.json")
	if err != nil {
		return file{}, err
	}
	var side struct {
		AssetID  string         `json:"asset_id"`
		SHA256   string         `json:"sha256"`
		Metadata map[string]any `json:"metadata"`
	}
	if err := json.Unmarshal(text, &side); err != nil {
		return file{}, err
	}
	rel, err := filepath.Rel(root, path)
	if err != nil {
		return file{}, err
	}
	sum := sha256.Sum256(body)
	f := file{AssetID: side.AssetID, Path: filepath.ToSlash(rel), SHA256: hex.EncodeToString(sum[:]), Metadata: side.Metadata}
	if f.SHA256 != side.SHA256 {
		return f, fmt.Errorf("%s: sidecar says %s, the bytes are %s", rel, side.SHA256, f.SHA256)
	}
	return f, nil
}

// targetsEqual compares all targets with the simulator.
func (w *world) targetsEqual() error {
	for _, spec := range w.specs {
		want := w.wanted(spec.Name)
		got, err := w.held(spec.Name)
		if err != nil {
			return fmt.Errorf("target %s: %w", spec.Name, err)
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			return fmt.Errorf("target %s holds %d of %d files (-want +got):\n%s", spec.Name, len(got), len(want), head(diff, 3000))
		}
	}
	return nil
}

func head(s string, n int) string { return s[:min(len(s), n)] }

// workLeft returns an error while lookups, placements or events are left to do.
func (w *world) workLeft() error {
	n := query[int](w, `SELECT (SELECT count(*) FROM damsync.lookup WHERE requested > done)
		+ (SELECT count(*) FROM damsync.placement WHERE desired_generation > applied_generation)
		+ (SELECT count(*) FROM damsync.inbox WHERE processed_at IS NULL)`)
	if n > 0 {
		return fmt.Errorf("%d lookups, placements and events are left to do", n)
	}
	return nil
}

// endBackoffs ends every back-off, as damsync retry does, so that tests need not wait.
func (w *world) endBackoffs() {
	if _, err := w.store.Retry(context.Background(), ""); err != nil {
		w.Fatalf("%v", err)
	}
	w.exec(`UPDATE damsync.lookup SET next_attempt_at = clock_timestamp() WHERE requested > done`)
	w.exec(`UPDATE damsync.placement SET next_attempt_at = clock_timestamp() WHERE desired_generation > applied_generation`)
	w.exec(`UPDATE damsync.pace SET paused_until = NULL`)
}
