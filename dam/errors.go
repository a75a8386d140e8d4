package dam

import (
	"errors"
	"fmt"
	"time"
)

// The error classes of an adapter. An adapter wraps them with what it was doing.
// Conflict and Throttled are classes with details.
var (
	// ErrNotFound: there is no whole object of ours to work on.
	ErrNotFound = errors.New("object not found")
	// ErrForeign: the object in the place does not carry our mark. That lasts until
	// a person removes it or the asset gets another path.
	ErrForeign = errors.New("foreign object in the place")
	// ErrStale: the target holds a higher generation than the call's. Either a
	// later worker was faster, or the core's database is an older copy; then Find
	// returns the generation to continue from.
	ErrStale = errors.New("target holds a higher generation")
	// ErrInvalid: the target will never accept this object as it is. The wrapping
	// text says why.
	ErrInvalid = errors.New("not acceptable to the target")
	// ErrAuth: credentials, permissions or the configured place are not sufficient,
	// and a person has to change something; Denied says what. The target waits.
	ErrAuth = errors.New("not permitted by the target")
	// ErrUnavailable: the target cannot be used now, for any asset. The target
	// waits, not the asset.
	ErrUnavailable = errors.New("target unavailable")
	// ErrFull is ErrUnavailable because no space is left.
	ErrFull = fmt.Errorf("%w: no space left", ErrUnavailable)
	// ErrReadOnly is ErrUnavailable because nothing can be written.
	ErrReadOnly = fmt.Errorf("%w: read-only", ErrUnavailable)
	// ErrTemporary: this call failed, the next one may succeed.
	ErrTemporary = errors.New("temporary failure")
	// ErrSource: the body broke off or is not what was promised. It is not the
	// target's fault; the core fetches the bytes again.
	ErrSource = errors.New("source")
	// ErrCheckpoint is ErrSource because the content cannot be continued from a
	// Checkpoint. It can be read from the beginning.
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

// Throttled says that the target limits the rate of calls.
type Throttled struct {
	RetryAfter time.Duration // 0 when the target did not say
}

func (e *Throttled) Error() string {
	if e.RetryAfter <= 0 {
		return "throttled by the target"
	}
	return fmt.Sprintf("throttled by the target, retry after %s", e.RetryAfter.Round(time.Millisecond))
}

// Denied is ErrAuth with what is missing and what to change. Check joins
// (errors.Join) one for each thing that is missing.
type Denied struct {
	Need   Need
	Advice string // what a person can change, in the imperative
	Err    error  // the target's own answer; may be nil
}

// Need is something that a target needs before it can be used.
type Need string

// The needs. Those after NeedRegion are permissions.
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
	text := fmt.Sprintf("the target needs %s: %s", e.Need, e.Advice)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the class and the target's own answer.
func (e *Denied) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrAuth}
	}
	return []error{ErrAuth, e.Err}
}

// Class names an error class in records, logs and metrics.
type Class string

// The classes. ClassNone is the class of nil.
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

// Classify returns the class of err. An error without one, such as a context's, is
// ClassUnknown: the outcome is open, and Find decides.
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
		{ErrSource, ClassSource}, // first: it may wrap the error of a download
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
