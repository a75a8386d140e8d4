package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"damsync/dam"
	"damsync/dam/sidecar"
)

const (
	maxKeyBytes = 1024
	stateDir    = ".damsync/" // under the prefix
	maxIDName   = 64

	// maxNameBytes is of a path segment. S3 has no such limit, but servers that
	// keep objects as files have, and a sidecar needs room beside each.
	maxNameBytes = 255 - len(sidecar.Suffix)
)

// maxPathBytes leaves room for prefix, archive and sidecar.
func (o *options) maxPathBytes() int {
	return maxKeyBytes - len(o.prefix) - len(o.archive) - maxIDName - 1 - len(sidecar.Suffix)
}

// checkPath refuses what is no path of an object, or would be taken for
// something of the adapter's own.
func (o *options) checkPath(p string) error {
	if err := checkSegments(p); err != nil {
		return fmt.Errorf("path %q: %w: %w", p, dam.ErrInvalid, err)
	}
	if most := o.maxPathBytes(); len(p) > most {
		return fmt.Errorf("path of %d bytes: %w: longer than %d", len(p), dam.ErrInvalid, most)
	}
	for name := range strings.SplitSeq(p, "/") {
		if len(name) > maxNameBytes {
			return fmt.Errorf("path %q: %w: a name longer than %d bytes", p, dam.ErrInvalid, maxNameBytes)
		}
	}
	if o.reserved(p) {
		return fmt.Errorf("path %q: %w: reserved for damsync", p, dam.ErrInvalid)
	}
	return nil
}

// reserved reports whether the adapter keeps p for itself. Case is ignored,
// since servers on a file system may do so too.
func (o *options) reserved(p string) bool {
	lower := strings.ToLower(p) + "/"
	return strings.HasPrefix(lower, stateDir) || strings.HasPrefix(lower, strings.ToLower(o.archive)) ||
		strings.HasSuffix(lower, sidecar.Suffix+"/")
}

// checkSegments refuses what servers on a file system refuse, or clients
// normalise away, though S3 itself would take it as a key.
func checkSegments(p string) error {
	if !utf8.ValidString(p) || strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("not UTF-8 without control characters")
	}
	for name := range strings.SplitSeq(p, "/") {
		if name == "" || name == "." || name == ".." {
			return errors.New("not a clean relative path")
		}
	}
	return nil
}

var plainID = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9_-]{1,%d}$`, maxIDName))

// idName is assetID as a path segment: itself when that is harmless.
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
