package cmpsim

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// newRand returns the random source of one named thing, so that adding another
// kind of thing to the library does not change the ones before it.
func newRand(seed int64, purpose string, ordinal uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	return rand.New(rand.NewPCG(uint64(seed)^h.Sum64(), ordinal)) //nolint:gosec // made to be repeatable; it guards nothing
}

// hexID returns 32 lower-case hex digits, the shape of library ids.
func hexID(r *rand.Rand) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	return hex.EncodeToString(b[:])
}

// objectID returns 24 lower-case hex digits, the shape of user, organization,
// campaign and field ids.
func objectID(r *rand.Rand) string { return hexID(r)[:24] }

// tokenID returns the UUID shape of access tokens.
func tokenID(r *rand.Rand) string {
	h := hexID(r)
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}
