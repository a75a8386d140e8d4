package damtest

import (
	"context"

	"damsync/dam"
)

// Target is an empty place to test an adapter in. Name and Open are required; each
// further hook adds cases.
type Target struct {
	// Name is the target's name in marks.
	Name string

	// Open makes an adapter for the place and an installation, as a new process would:
	// it shares no memory with other adapters.
	Open func(instance string) (dam.Adapter, error)

	// Backdoor accesses the place without an adapter.
	Backdoor Backdoor

	// OnStep sets a function that is called before each single change that adapters
	// make in the place (a request that writes, a system call); nil removes it. When
	// the function returns an error, the change does not happen and the adapter gets
	// that error. The suite simulates failures and crashes this way.
	OnStep func(before func(step string) error)

	// Refuse makes the next n requests of adapters fail at the target; 0 ends that.
	Refuse func(how Refusal, n int)

	// Clean removes the objects of a case through the adapter at the end of the case.
	// For places that outlive the run.
	Clean bool
}

// Refusal is how a target refuses a request.
type Refusal string

// The refusals: too many requests (429, 503 SlowDown), and a failure of the target
// itself (500, 503).
const (
	Throttling  Refusal = "throttling"
	ServerError Refusal = "server error"
)

// Backdoor does what other people and programs do at a target. Paths are as in
// dam.Object.
type Backdoor interface {
	// Write writes bytes to path, over what exists there, without any mark.
	Write(ctx context.Context, path string, body []byte) error
	// Remove deletes the bytes at path.
	Remove(ctx context.Context, path string) error
	// Look reads the object at path; fs.ErrNotExist when there is none.
	Look(ctx context.Context, path string) (Seen, error)
	// Paths lists the paths of all objects, ours and foreign, archived ones included,
	// without what the adapter keeps for itself.
	Paths(ctx context.Context) ([]string, error)
}

// Seen is what a Backdoor sees of an object.
type Seen struct {
	Body []byte
	// Title and Metadata are as the target holds them. Metadata is nil when the
	// backdoor cannot see them.
	Title    string
	Metadata dam.Metadata
}
