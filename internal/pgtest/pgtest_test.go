package pgtest_test

import (
	"testing"

	"damsync/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	one, two := pgtest.Pool(t), pgtest.Pool(t)
	if _, err := one.Exec(t.Context(), `CREATE TABLE only_here ()`); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]bool{
		`SELECT to_regclass('only_here') IS NOT NULL`:                        false,
		`SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'damsync')`: true,
	} {
		var got bool
		if err := two.QueryRow(t.Context(), query).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s = %t, want %t", query, got, want)
		}
	}
}
