package main

import (
	"os"
	"testing"

	"damsync/internal/pgtest"
)

// asProgram makes the test binary be damsync: the tests drive the program as its
// users do, built with the same flags as the tests.
const asProgram = "DAMSYNC_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main() // does not return
	}
	pgtest.Main(m)
}
