package s3

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"damsync/dam"
	"damsync/dam/naming"
	"damsync/dam/sidecar"
)

const (
	maxKeyBytes = 1024
	stateDir    = ".damsync/"

	// unusedName is where no object ever is. Permissions are tried there.
	unusedName = stateDir + "check"

	// maxNameBytes limits a path segment. S3 has no such limit, but servers that keep
	// objects as files have, and a sidecar needs room for its suffix.
	maxNameBytes = 255 - len(sidecar.Suffix)
)

// layout says where objects are. The package calls a key without the prefix a name;
// an object's name is its path unless it is archived.
type layout struct {
	prefix  string // empty, or ends with a slash
	archive string // a name that ends with a slash
}

func (l layout) key(name string) string { return l.prefix + name }

func (l layout) name(key string) string { return strings.TrimPrefix(key, l.prefix) }

// archiveNames returns where an archived asset may be: below its path, or below its id when that is taken.
func (l layout) archiveNames(assetID, p string) []string {
	return []string{path.Join(l.archive, p), path.Join(l.archive, naming.Segment(assetID), p)}
}

// pathOf returns the path that the core asked for an object at name.
func (l layout) pathOf(name string, r record) string {
	if !r.Archived {
		return name
	}
	name = strings.TrimPrefix(name, l.archive)
	if r.underID {
		name = strings.TrimPrefix(name, naming.Segment(r.AssetID)+"/")
	}
	return name
}

// maxPathBytes leaves room for prefix, archive and sidecar.
func (l layout) maxPathBytes() int {
	return maxKeyBytes - len(l.prefix) - len(l.archive) - naming.MaxSegmentBytes - 1 - len(sidecar.Suffix)
}

// checkPath returns dam.ErrInvalid for a path that no object can have, or that the
// adapter would take for an object of its own.
func (l layout) checkPath(p string) error {
	if err := checkSegments(p); err != nil {
		return fmt.Errorf("path %q: %w: %w", p, dam.ErrInvalid, err)
	}
	if most := l.maxPathBytes(); len(p) > most {
		return fmt.Errorf("path of %d bytes: %w: longer than %d", len(p), dam.ErrInvalid, most)
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxNameBytes {
			return fmt.Errorf("path %q: %w: a name longer than %d bytes", p, dam.ErrInvalid, maxNameBytes)
		}
	}
	if l.reserved(p) {
		return fmt.Errorf("path %q: %w: reserved for damsync; choose another path", p, dam.ErrInvalid)
	}
	return nil
}

// reserved reports whether the adapter keeps p for itself. It ignores case, since
// servers on a file system may do so too.
func (l layout) reserved(p string) bool {
	lower := strings.ToLower(p) + "/"
	return strings.HasPrefix(lower, stateDir) || strings.HasPrefix(lower, strings.ToLower(l.archive)) ||
		strings.HasSuffix(lower, sidecar.Suffix+"/")
}

// checkSegments rejects what servers on a file system reject, or clients
// normalise away, though S3 itself accepts it as a key.
func checkSegments(p string) error {
	if !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("must be UTF-8 without control characters")
	}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." || name == ".." {
			return errors.New("must be a relative path without . or .. or empty segments")
		}
	}
	return nil
}
