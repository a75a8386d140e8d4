package filesystem

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"damsync/dam"
	"damsync/dam/naming"
	"damsync/dam/sidecar"
)

const (
	stateDir   = ".damsync"
	archiveDir = ".archive"
	lockFile   = stateDir + "/lock"

	maxNameBytes = 255 - len(sidecar.Suffix) // of a file; NAME_MAX is 255
	maxPathBytes = 3500                      // PATH_MAX is 4096; root, archive and sidecar need some
)

// home is the directory under the root with the state of one target of one
// installation.
type home string

func homeOf(instance, target string) home {
	return home(path.Join(stateDir, naming.Digest(instance, target)[:16]))
}

func (h home) markerPath() string { return path.Join(string(h), "target.json") }

// tempDir is the directory of unfinished files.
func (h home) tempDir() string { return path.Join(string(h), "tmp") }

func (h home) recordPath(assetID string) string {
	d := naming.Digest(assetID)
	return path.Join(string(h), "assets", d[:2], d[2:32]+".json")
}

func sidecarPath(place string) string { return place + sidecar.Suffix }

// checkPath rejects what is not the path of a file under the root, and what the
// adapter would take for a file of its own.
func checkPath(p string) error {
	if !fs.ValidPath(p) || p == "." || strings.ContainsRune(p, 0) {
		return fmt.Errorf("path %q: %w: not a clean relative path", p, dam.ErrInvalid)
	}
	if len(p) > maxPathBytes {
		return fmt.Errorf("path of %d bytes: %w: longer than %d", len(p), dam.ErrInvalid, maxPathBytes)
	}
	for i, name := range strings.Split(p, "/") {
		lower := strings.ToLower(name) // the file system may ignore case
		if i == 0 && (lower == stateDir || lower == archiveDir) || strings.HasSuffix(lower, sidecar.Suffix) {
			return fmt.Errorf("path %q: %w: %s is reserved", p, dam.ErrInvalid, name)
		}
		if len(name) > maxNameBytes {
			return fmt.Errorf("path %q: %w: a name longer than %d bytes", p, dam.ErrInvalid, maxNameBytes)
		}
	}
	return nil
}

// archivePlaces returns the paths where an asset with path p may be archived, the
// preferred one first. The second is for an asset that finds the first taken.
func archivePlaces(assetID, p string) []string {
	return []string{
		path.Join(archiveDir, p),
		path.Join(archiveDir, naming.Segment(assetID), p),
	}
}
