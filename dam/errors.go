package dam

import (
	"errors"
	"fmt"
	"time"
)

// The error classes of an adapter, to be wrapped with what was being done.
// Conflict and Throttled are classes with particulars.
var (
	// ErrNotFound: there is no whole object of ours to work on.
	ErrNotFound = errors.New("object not found")
	// ErrForeign: what is in the place does not carry our mark. It stays so
	// until somebody removes it or the asset gets another path.
	ErrForeign = errors.New("foreign object in the place")
	// ErrStale: the target holds a higher generation than the call's. Either a
	// later worker was here, or the core's database is an older copy; then
	// Find tells the generation to go on from.
	ErrStale = errors.New("target holds a higher generation")
	// ErrInvalid: the target will never accept this object as it is. The
	// wrapping text says why.
	ErrInvalid = errors.New("not acceptable to the target")
	// ErrAuth: credentials, permissions or the configured place do not
	// suffice, and a person has to change something; Denied says what. The
	// target waits.
	ErrAuth = errors.New("not permitted by the target")
	// ErrUnavailable: the target cannot be used now, whichever the asset.
	// The target waits, not the asset.
	ErrUnavailable = errors.New("target unavailable")
	// ErrFull is ErrUnavailable for want of space.
	ErrFull = fmt.Errorf("%w: no space left", ErrUnavailable)
	// ErrReadOnly is ErrUnavailable because nothing can be written.
	ErrReadOnly = fmt.Errorf("%w: read-only", ErrUnavailable)
	// ErrTemporary: this call failed, the next may not.
	ErrTemporary = errors.New("temporary failure")
	// ErrSource: the body broke off or is not what was promised. The target
	// is not to blame; the core fetches the bytes anew.
	ErrSource = errors.New("source")
	// ErrCheckpoint is ErrSource because the content cannot be continued from
	// a Checkpoint. From the beginning it can.
	ErrCheckpoint = fmt.Errorf("%w: no such checkpoint", ErrSource)
)

// Conflict says that another asset of ours, Holder, has the path.
type Conflict struct {
	Path   string
	Holder string // asset id
}

func (e *Conflict) Error() string {
	return fmt.Sprintf("path %q is held by asset %s", e.Path, e.Holder)
}

// Throttled says that the target wants fewer calls.
type Throttled struct {
	RetryAfter time.Duration // 0 when the target did not say
}

func (e *Throttled) Error() string {
	if e.RetryAfter <= 0 {
		return "throttled by the target"
	}
	return fmt.Sprintf("throttled by the target, retry after %s", e.RetryAfter.Round(time.Millisecond))
}

// Denied is ErrAuth that names what is missing and what to change. Check joins
// (errors.Join) one for each thing it finds missing.
type Denied struct {
	Need   Need
	Advice string // what a person can change, as a clause in the imperative
	Err    error  // the target's own answer; may be nil
}

// Need is what the use of a target takes.
type Need string

// The needs. Those behind NeedRegion are permissions.
const (
	NeedCredentials Need = "valid credentials"
	NeedContainer   Need = "the configured bucket, root or folder"
	NeedRegion      Need = "the right region or endpoint"
	NeedList        Need = "permission to list"
	NeedRead        Need = "permission to read"
	NeedWrite       Need = "permission to write"
	NeedDelete      Need = "permission to delete"
	NeedTag         Need = "permission to tag"
)

func (e *Denied) Error() string {
	text := fmt.Sprintf("the target wants %s: %s", e.Need, e.Advice)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the class and the target's own answer.
func (e *Denied) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrAuth}
	}
	return []error{ErrAuth, e.Err}
}

// Class is the name of an error class, fit for records and metrics.
type Class string

// The classes. ClassNone is that of nil.
const (
	ClassNone        Class = ""
	ClassNotFound    Class = "not_found"
	ClassForeign     Class = "foreign"
	ClassConflict    Class = "conflict"
	ClassStale       Class = "stale"
	ClassInvalid     Class = "invalid"
	ClassAuth        Class = "auth"
	ClassUnavailable Class = "unavailable"
	ClassThrottled   Class = "throttled"
	ClassTemporary   Class = "temporary"
	ClassSource      Class = "source"
	ClassUnknown     Class = "unknown"
)

// Classify names the class of err. An error without one, a context's among
// them, is ClassUnknown: the outcome is open and Find has to tell.
func Classify(err error) Class {
	if err == nil {
		return ClassNone
	}
	var conflict *Conflict
	var throttled *Throttled
	switch {
	case errors.As(err, &conflict):
		return ClassConflict
	case errors.As(err, &throttled):
		return ClassThrottled
	}
	return classifySentinel(err)
}

func classifySentinel(err error) Class {
	classes := []struct {
		err   error
		class Class
	}{
		{ErrSource, ClassSource}, // first: it may wrap what a download met
		{ErrForeign, ClassForeign},
		{ErrStale, ClassStale},
		{ErrInvalid, ClassInvalid},
		{ErrNotFound, ClassNotFound},
		{ErrAuth, ClassAuth},
		{ErrUnavailable, ClassUnavailable},
		{ErrTemporary, ClassTemporary},
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.class
		}
	}
	return ClassUnknown
}
