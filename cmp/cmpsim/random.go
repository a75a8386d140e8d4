package cmpsim

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// newRand returns the random source for one purpose. Separate sources keep the generated library
// stable when another kind of thing is added to it.
func newRand(seed int64, purpose string, ordinal uint64) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(purpose))
	return rand.New(rand.NewPCG(uint64(seed)^h.Sum64(), ordinal)) //nolint:gosec // must be repeatable; protects nothing
}

// pickFrom returns one of list.
func pickFrom[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// pickWeighted returns an index of weights, each with the chance of its weight.
func pickWeighted(r *rand.Rand, weights []int) int {
	total := 0
	for _, w := range weights {
		total += w
	}
	n := r.IntN(total)
	for i, w := range weights {
		if n < w {
			return i
		}
		n -= w
	}
	return len(weights) - 1
}

// hexID returns 32 lower-case hex digits, the shape of library ids (facts.md 12.1).
func hexID(r *rand.Rand) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	return hex.EncodeToString(b[:])
}

// objectID returns 24 lower-case hex digits, the shape of user, organization, campaign and field ids
// (facts.md 12.1).
func objectID(r *rand.Rand) string { return hexID(r)[:24] }

// uuid returns the shape of access tokens (facts.md 1.3).
func uuid(r *rand.Rand) string {
	h := hexID(r)
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}

// mix is the finalizer of splitmix64: a hash of z.
func mix(z uint64) uint64 {
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}
