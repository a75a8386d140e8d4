package dam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestClassifyFindsTheClassOfAWrappedError(t *testing.T) {
	for err, want := range map[error]Class{
		ErrNotFound: ClassNotFound, ErrForeign: ClassForeign, ErrStale: ClassStale, ErrInvalid: ClassInvalid,
		ErrAuth: ClassAuth, ErrUnavailable: ClassUnavailable, ErrFull: ClassUnavailable, ErrReadOnly: ClassUnavailable,
		ErrTemporary: ClassTemporary, ErrSource: ClassSource,
		&Conflict{Path: "a", Holder: "B"}:           ClassConflict,
		&Throttled{RetryAfter: time.Second}:         ClassThrottled,
		fmt.Errorf("%w: %w", ErrSource, ErrAuth):    ClassSource,
		context.Canceled:                            ClassUnknown,
		errors.New("something else"):                ClassUnknown,
		errors.Join(errors.New("and"), ErrNotFound): ClassNotFound,
	} {
		if got := Classify(fmt.Errorf("put asset: %w", err)); got != want {
			t.Errorf("%v is %q, want %q", err, got, want)
		}
	}
	if got := Classify(nil); got != ClassNone {
		t.Errorf("nil is %q", got)
	}
}

func TestDeniedNamesEachNeedAndItsCause(t *testing.T) {
	cause := errors.New("403 AccessDenied")
	err := fmt.Errorf("check target: %w", errors.Join(
		&Denied{Need: NeedList, Advice: "allow s3:ListBucket", Err: cause},
		&Denied{Need: NeedTag, Advice: "allow s3:PutObjectTagging or leave out tags"},
	))
	if Classify(err) != ClassAuth || !errors.Is(err, cause) {
		t.Errorf("class %q of %v", Classify(err), err)
	}
	for _, want := range []string{"permission to list", "s3:ListBucket", "permission to tag", "403 AccessDenied"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
}
