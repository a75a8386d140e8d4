package benchkit

import (
	"context"
	"testing"
)

// The SQL that fills a mirror follows the schema of the migrations.
func TestFillFollowsTheSchema(t *testing.T) {
	err := WithDatabase(t.Context(), func(ctx context.Context, d *Database) error {
		return d.FillMirror(ctx, 100, "one", "two")
	})
	if err != nil {
		t.Fatal(err)
	}
}
