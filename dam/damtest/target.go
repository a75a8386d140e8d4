package damtest

import (
	"context"

	"damsync/dam"
)

// Target is an empty place to test an adapter in. Name and Open are required;
// each hook more lets more cases run.
type Target struct {
	// Name is the target's name in marks.
	Name string

	// Open makes an adapter over the place for an installation, as a new
	// process would: it shares nothing with the others in memory.
	Open func(instance string) (dam.Adapter, error)

	// Backdoor reaches the place without an adapter.
	Backdoor Backdoor

	// OnStep sets a function to be called before each single change that
	// adapters make in the place (a request that writes, a system call), or
	// with nil none. When it returns an error the change does not happen and
	// the adapter meets that error: that is how the suite ends the world.
	OnStep func(before func(step string) error)

	// Refuse makes the next n requests of adapters fail at the target; 0
	// ends it.
	Refuse func(how Refusal, n int)

	// Clean removes for good what a case has put, by the adapter's own
	// means, at the end of the case. For places that outlive the run.
	Clean bool
}

// Refusal is how a target refuses.
type Refusal string

// The refusals: too many requests (429, 503 SlowDown), and a failure of the
// target itself (500, 503).
const (
	Throttling  Refusal = "throttling"
	ServerError Refusal = "server error"
)

// Backdoor does what other people and programs do at a target. Paths are those
// of dam.Object.
type Backdoor interface {
	// Write puts bytes at path, over what is there, with nothing of ours.
	Write(ctx context.Context, path string, body []byte) error
	// Remove deletes the bytes at path.
	Remove(ctx context.Context, path string) error
	// Look reads what is at path; fs.ErrNotExist when nothing is.
	Look(ctx context.Context, path string) (Seen, error)
	// Paths lists where there are bytes of anybody, archived objects too,
	// without what the adapter keeps for itself.
	Paths(ctx context.Context) ([]string, error)
}

// Seen is what a Backdoor sees of an object.
type Seen struct {
	Body []byte
	// Title and Metadata are as the target holds them. Metadata is nil when
	// the backdoor cannot tell.
	Title    string
	Metadata dam.Metadata
}
