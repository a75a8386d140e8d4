package main

import (
	"io"
	"strings"
	"testing"

	"damsync/internal/state"
	"damsync/sync/verify"
)

// Objects that could not be checked fail the command, whether or not drift is left too.
func TestUnverifiedObjectsFail(t *testing.T) {
	t.Parallel()
	for name, counts := range map[string]state.DriftCounts{
		"alone":        {state.DriftUnverified: 2, state.DriftForeign: 1},
		"beside drift": {state.DriftUnverified: 2, state.DriftMissing: 1},
	} {
		result := verify.Result{Targets: []verify.TargetResult{{Verification: state.Verification{Target: "brand", Counts: counts}}}}
		err := concludeVerify(io.Discard, result, false, false)
		if err == nil || report(io.Discard, err) != exitFailure || !strings.Contains(err.Error(), "2 objects at brand could not be checked") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
