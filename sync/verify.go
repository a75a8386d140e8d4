package sync

import (
	"context"

	"damsync/sync/verify"
)

// Verify compares targets with what was put there and optionally repairs drift; see verify.Verifier.Verify.
func (e *Engine) Verify(ctx context.Context, o verify.Options) (verify.Result, error) {
	return e.verifier.Verify(ctx, o)
}
