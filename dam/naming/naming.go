// Package naming derives the names that adapters give to things of their own, so that those in different targets
// are alike. They are permanent: an object archived under a name is found by it later.
package naming

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
)

// MaxSegmentBytes is the longest result of Segment.
const MaxSegmentBytes = 64

var plainID = regexp.MustCompile(fmt.Sprintf(`^[A-Za-z0-9_-]{1,%d}$`, MaxSegmentBytes))

// Segment returns assetID as a path segment: itself when it is safe as one, otherwise a digest. It is deterministic, and
// at most MaxSegmentBytes of A-Z, a-z, 0-9, hyphen and underscore.
func Segment(assetID string) string {
	if plainID.MatchString(assetID) {
		return assetID
	}
	return "id-" + Digest(assetID)[:32]
}

// Digest returns 64 hexadecimal digits. It hashes each part with its length, so that moving a separator between parts
// changes the result.
func Digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
