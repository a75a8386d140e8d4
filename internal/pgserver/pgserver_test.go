package pgserver_test

import (
	"context"
	"testing"

	"damsync/internal/pgserver"

	"github.com/jackc/pgx/v5"
)

func TestOpenAndClose(t *testing.T) {
	dir := t.TempDir()
	t.Cleanup(func() {
		if err := pgserver.Remove(context.Background(), dir); err != nil {
			t.Error(err)
		}
	})
	s, err := pgserver.Open(t.Context(), pgserver.Options{DataDir: dir, Unsafe: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(s.URL(), s.LogFile())
	c, err := pgx.Connect(t.Context(), s.URL())
	if err != nil {
		t.Fatal(err)
	}
	c.Close(t.Context())
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
