package sync

import (
	"context"
	"fmt"

	"damsync/dam"
	"damsync/internal/state"
)

// lookError is a look at one object in which the target failed.
type lookError struct {
	assetID string
	path    string // where it was looked for
	err     error
}

func (e *lookError) Error() string { return e.err.Error() }
func (e *lookError) Unwrap() error { return e.err }

// unjudged is the verdict on an object that could not be looked at, while the target can be used
// otherwise: it alone is left open. A target that cannot be used ends the verification, for nobody
// would want every object of it told one by one.
func (v *verifying) unjudged(ctx context.Context, failed *lookError) (state.Drift, error) {
	if ctx.Err() != nil {
		return state.Drift{}, failed
	}
	if !ofOneObject(dam.Classify(failed)) {
		if err := v.check(ctx); err != nil {
			return state.Drift{}, fmt.Errorf("%w; then: %w", failed, err)
		}
	}
	return state.Drift{Kind: state.DriftUnjudged, AssetID: failed.assetID, Path: failed.path, Differs: failed.Error()}, nil
}

// ofOneObject tells the classes that say nothing of the target as a whole.
func ofOneObject(class dam.Class) bool {
	return class == dam.ClassForeign || class == dam.ClassInvalid || class == dam.ClassNotFound
}
