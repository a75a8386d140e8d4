package filesystem

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"damsync/dam"
	"damsync/dam/sidecar"
)

const (
	stateDir   = ".damsync"
	archiveDir = ".archive"
	lockFile   = stateDir + "/lock"

	maxNameBytes = 255 - len(sidecar.Suffix) // of a file; NAME_MAX is 255
	maxPathBytes = 3500                      // PATH_MAX is 4096; root, archive and sidecar need some
)

func sidecarPath(place string) string { return place + sidecar.Suffix }

// checkPath refuses what is no path of a file under the root, or would be
// taken for something of the adapter's own.
func checkPath(p string) error {
	if !fs.ValidPath(p) || p == "." || strings.ContainsRune(p, 0) {
		return fmt.Errorf("path %q: %w: not a clean relative path", p, dam.ErrInvalid)
	}
	if len(p) > maxPathBytes {
		return fmt.Errorf("path of %d bytes: %w: longer than %d", len(p), dam.ErrInvalid, maxPathBytes)
	}
	for i, name := range strings.Split(p, "/") {
		// Compared without case, since the file system may do so too.
		lower := strings.ToLower(name)
		if i == 0 && (lower == stateDir || lower == archiveDir) || strings.HasSuffix(lower, sidecar.Suffix) {
			return fmt.Errorf("path %q: %w: %s is reserved", p, dam.ErrInvalid, name)
		}
		if len(name) > maxNameBytes {
			return fmt.Errorf("path %q: %w: a name longer than %d bytes", p, dam.ErrInvalid, maxNameBytes)
		}
	}
	return nil
}

// archivePlaces are where an asset of that path may be archived, the preferred
// one first.
func archivePlaces(assetID, p string) []string {
	return []string{
		path.Join(archiveDir, p),
		path.Join(archiveDir, idName(assetID), p),
	}
}

var plainID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// idName is assetID as a file name: itself when that is harmless.
func idName(assetID string) string {
	if plainID.MatchString(assetID) {
		return assetID
	}
	return "id-" + digest(assetID)[:32]
}

// digest tells parts apart also when they contain each other's separators.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// home is the directory with the state of this target of this installation.
func (a *Adapter) home() string {
	return path.Join(stateDir, digest(a.instance, a.target)[:16])
}

func (a *Adapter) markerPath() string { return path.Join(a.home(), "target.json") }

func (a *Adapter) tempDir() string { return path.Join(a.home(), "tmp") }

func (a *Adapter) recordPath(assetID string) string {
	d := digest(assetID)
	return path.Join(a.home(), "assets", d[:2], d[2:32]+".json")
}
